"""check_cassandra.py LOOM TOKENS.db JARS WORK: `loom tokens cql`, loaded by cqlsh into Apache Cassandra.

JARS is a folder with org.apache.cassandra:cassandra-all and what it needs.  Starts a server of its own, lets cqlsh run
schema.cql with its COPY statements, and compares every row with the token table in SQLite.
"""
import os
import socket
import sqlite3
import subprocess
import sys
import time

from common import loom, need, verdict

cluster, = need("cassandra.cluster")

CONFIG = """cluster_name: loom
num_tokens: 1
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
commitlog_sync: periodic
commitlog_sync_period: 10000ms
commitlog_directory: {work}/commitlog
data_file_directories: [ {work}/data ]
saved_caches_directory: {work}/saved_caches
hints_directory: {work}/hints
cdc_raw_directory: {work}/cdc_raw
listen_address: 127.0.0.1
rpc_address: 127.0.0.1
native_transport_port: {port}
storage_port: {storage}
endpoint_snitch: SimpleSnitch
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters: [ {{ seeds: "127.0.0.1:{storage}" }} ]
auto_snapshot: false
"""
EXPORTS = """java.base/jdk.internal.misc java.base/jdk.internal.ref java.base/sun.nio.ch
java.management.rmi/com.sun.jmx.remote.internal.rmi java.rmi/sun.rmi.registry java.rmi/sun.rmi.server
java.sql/java.sql java.base/java.lang.ref""".split()
OPENS = """java.base/java.lang.module java.base/jdk.internal.loader java.base/jdk.internal.ref
java.base/jdk.internal.reflect java.base/jdk.internal.math java.base/jdk.internal.module java.base/jdk.internal.util.jar
jdk.management/com.sun.management.internal java.base/sun.nio.ch java.base/java.io java.base/java.nio java.base/java.lang
java.base/java.util java.base/java.util.concurrent java.base/java.util.concurrent.atomic""".split()


def free_ports():
    with socket.socket() as a, socket.socket() as b:
        a.bind(("127.0.0.1", 0))
        b.bind(("127.0.0.1", 0))
        return a.getsockname()[1], b.getsockname()[1]


def start(jars, work):
    os.mkdir(work)
    port, storage = free_ports()
    with open(f"{work}/cassandra.yaml", "w", encoding="utf-8") as file:
        file.write(CONFIG.format(work=work, port=port, storage=storage))
    access = [f"--add-exports={name}=ALL-UNNAMED" for name in EXPORTS]
    access += [f"--add-opens={name}=ALL-UNNAMED" for name in OPENS]
    with open(f"{work}/log", "w", encoding="utf-8") as log:
        server = subprocess.Popen(
            ["java", "-Xms512m", "-Xmx1g", "-cp", f"{jars}/*", f"-Dcassandra.config=file://{work}/cassandra.yaml",
             f"-Dcassandra.storagedir={work}", "-Dcassandra-foreground=yes", "-Dcassandra.skip_wait_for_gossip_to_settle=0",
             "-Djdk.attach.allowAttachSelf=true", *access, "org.apache.cassandra.service.CassandraDaemon"],
            stdout=log, stderr=log)
    for _ in range(240):
        if server.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return server, port
        except OSError:
            time.sleep(0.5)
    server.kill()
    verdict(False, f"the server does not start: {work}/log")


def copy(port, folder):
    """Makes a keyspace and lets cqlsh run what loom wrote."""
    with cluster.Cluster(["127.0.0.1"], port=port) as session_maker, session_maker.connect() as session:
        session.execute("CREATE KEYSPACE loom WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
    done = subprocess.run(["cqlsh", "127.0.0.1", str(port), "-k", "loom", "-f", "schema.cql"], cwd=folder,
                          capture_output=True, text=True, timeout=600, check=False)
    problems = [line for line in done.stderr.splitlines() if line and "WARNING" not in line and "child process" not in line]
    if done.returncode or problems:
        verdict(False, f"cqlsh ended with {done.returncode}: {problems[:3]}")


QUESTIONS = {
    "vocabulary": ("SELECT id, spelling, bytes, frequency FROM vocabulary", "SELECT id, token, bytes, frequency FROM token"),
    "document": ("SELECT id, split, tokens FROM document", "SELECT id, split, tokens FROM document"),
    "token_document": ("SELECT token_id, document_id, frequency FROM token_document",
                       "SELECT td.token_id, d.id, td.frequency FROM token_document td JOIN document d ON d.no = td.document_no"),
}


def compare(port, path):
    rows = 0
    table = sqlite3.connect(f"file:{path}?immutable=1", uri=True)
    with cluster.Cluster(["127.0.0.1"], port=port) as session_maker, session_maker.connect("loom") as session:
        for name, (cql, sql) in QUESTIONS.items():
            theirs = {tuple(row) for row in session.execute(cql)}
            ours = {tuple(row) for row in table.execute(sql)}
            if ours != theirs:
                verdict(False, f"{name}: {len(ours)} rows became {len(theirs)}, {len(ours ^ theirs)} of all differ, "
                               f"like {sorted(ours ^ theirs, key=repr)[:2]}")
            rows += len(ours)
    return rows


def main():
    program, path, jars, work = sys.argv[1:]
    folder = f"{work}/cql"
    loom(program, "tokens", "cql", f"--db={path}", f"--out={folder}")
    server, port = start(jars, f"{work}/cassandra")
    try:
        copy(port, folder)
        rows = compare(port, path)
    finally:
        server.kill()
        server.wait()
    verdict(True, f"{rows} rows copied by cqlsh, each as in SQLite")


main()
