loom_bench(infer infer)
loom_bench(constraint infer)
if(TARGET bench_constraint)   # with the made-up vocabulary of the tests
  target_sources(bench_constraint PRIVATE ${CMAKE_SOURCE_DIR}/tests/infer/vocabulary.c)
  target_include_directories(bench_constraint PRIVATE ${CMAKE_SOURCE_DIR}/tests/infer)
endif()
