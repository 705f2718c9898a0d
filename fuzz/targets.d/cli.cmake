loom_fuzz(hub cli)
loom_fuzz(mlflow cli)
