"""hub.py ROOT PORT_FILE [CERTIFICATE KEY]: a hub for models on this machine, with the faults of real ones; for test_model.sh.

ROOT/OWNER/NAME/... are the models; ROOT/files/... is served as it is.  Weights are "large files": resolve answers with
a redirect and their SHA-256 in X-Linked-Etag, and the redirect leads to an answer that knows Range and If-Range.  The
listing has the SHA-256 too, except that of a model named "unsaid".
ROOT/fault, if it exists, says what goes wrong, a line for each request for a large file; a line is used up:
    cut N      the connection breaks after N bytes        status N   this answer and no content
    stall N    nothing comes after N bytes                flip       one byte is another
    none       nothing
ROOT/log has a line for each request: path, and its Range or "-".
"""
import hashlib
import http.server
import json
import os
import ssl
import sys
import urllib.parse

ROOT, PORT_FILE = sys.argv[1:3]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def is_large(name):
    return name.endswith((".safetensors", ".gguf"))


def next_fault():
    path = f"{ROOT}/fault"
    if not os.path.exists(path):
        return ["none"]
    with open(path, encoding="ascii") as file:
        lines = file.read().splitlines()
    with open(path, "w", encoding="ascii") as file:
        file.write("".join(line + "\n" for line in lines[1:]))
    return lines[0].split() if lines else ["none"]


class Hub(http.server.BaseHTTPRequestHandler):
    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def listing(self, repository):
        top, siblings = f"{ROOT}/{repository}", []
        for folder, _, names in sorted(os.walk(top)):
            for name in sorted(names):
                path = f"{folder}/{name}"
                with open(path, "rb") as file:
                    content = file.read()
                entry = {"rfilename": os.path.relpath(path, top), "size": len(content)}
                if is_large(name) and not repository.endswith("/unsaid"):
                    entry["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
                siblings.append(entry)
        siblings.append({"rfilename": "../../outside", "size": 1})
        self.answer(200, json.dumps({"sha": COMMIT, "siblings": siblings}).encode())

    def large(self, content, path):
        fault, etag = next_fault(), f'"{hashlib.md5(content).hexdigest()}"'
        if fault[0] == "status":
            return self.answer(int(fault[1]))
        start, status, headers = 0, 200, [("ETag", etag)]
        wanted = self.headers.get("Range")
        if wanted and self.headers.get("If-Range") in (None, etag):
            start, status = int(wanted.removeprefix("bytes=").removesuffix("-")), 206
            headers.append(("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}"))
        body = bytearray(content[start:])
        if fault[0] == "flip":
            body[-1] ^= 1
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if fault[0] in ("cut", "stall"):
            self.wfile.write(body[:int(fault[1])])
            self.wfile.flush()
            if fault[0] == "stall":
                self.connection.recv(1)   # until the client goes
            self.connection.shutdown(2)
        else:
            self.wfile.write(body)

    def do_GET(self):
        path = urllib.parse.urlsplit(self.path).path
        with open(f"{ROOT}/log", "a", encoding="ascii") as log:
            log.write(f"{path} {self.headers.get('Range', '-')}\n")
        words = path.strip("/").split("/")
        if words[:2] == ["api", "models"]:
            repository = "/".join(words[2:4])
            return self.listing(repository) if os.path.isdir(f"{ROOT}/{repository}") else self.answer(404)
        linked = words[2:3] == ["resolve"]
        name = "/".join(words[:2] + words[4:]) if linked else "/".join(words[1:] if words[0] == "cdn" else words)
        if not os.path.isfile(f"{ROOT}/{name}"):
            return self.answer(404)
        with open(f"{ROOT}/{name}", "rb") as file:
            content = file.read()
        if linked and is_large(name):
            return self.answer(302, b"", [("Location", f"/cdn/{name}"), ("ETag", '"of the redirect"'),
                                          ("X-Linked-Etag", f'"{hashlib.sha256(content).hexdigest()}"')])
        return self.large(content, name) if is_large(name) else self.answer(200, content)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
if sys.argv[3:]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*sys.argv[3:])
    server.socket = context.wrap_socket(server.socket, server_side=True)
with open(PORT_FILE + ".new", "w", encoding="ascii") as file:
    file.write(str(server.server_port))
os.rename(PORT_FILE + ".new", PORT_FILE)
server.serve_forever()
