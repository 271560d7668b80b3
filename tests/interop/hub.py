#!/usr/bin/env python3
"""The hub's cache in both directions: what temper pulls loads in sentence-transformers, and what Python's
huggingface_hub downloads loads in temper. Both ask a server on this machine that answers like the hub.

usage: hub.py TEMPER_BINARY [--minilm DIR]
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from peers import Checks, Temper, fixture_texts, minilm, versions

ID = "org/minilm"


def server(folder):
    """A hub with one model, the files of `folder`."""
    files = {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    commit = hashlib.sha1(b"".join(files.values())).hexdigest()

    def git(data):
        return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()

    def entry(path, data):
        lfs = {"oid": hashlib.sha256(data).hexdigest(), "sha256": hashlib.sha256(data).hexdigest(),
               "size": len(data), "pointerSize": 130} if path.endswith(".safetensors") else None
        return {"type": "file", "path": path, "rfilename": path, "size": len(data), "oid": git(data),
                "blobId": git(data)} | ({"lfs": lfs} if lfs else {})

    entries = [entry(path, data) for path, data in files.items()]

    class Hub(BaseHTTPRequestHandler):
        asked = []

        def do_GET(self):
            Hub.asked.append(self.path)
            path = self.path.split("?")[0]
            if path.startswith((f"/api/models/{ID}/tree/", f"/api/models/{ID}/revision/")) or path == f"/api/models/{ID}":
                listing = entries if "/tree/" in path else {"id": ID, "sha": commit, "siblings": entries,
                                                            "private": False, "gated": False, "tags": []}
                return self.answer(200, json.dumps(listing).encode(), {})
            name = path.removeprefix(f"/{ID}/resolve/").partition("/")[2]
            if name not in files:
                return self.answer(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
            found = next(e for e in entries if e["path"] == name)
            etag = found["lfs"]["oid"] if "lfs" in found else found["oid"]
            self.answer(200, files[name], {"ETag": f'"{etag}"', "X-Repo-Commit": commit})

        do_HEAD = do_GET

        def answer(self, status, body, headers):
            self.send_response(status)
            for key, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_):
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{running.server_port}", Hub.asked


def python(code, **environment):
    """Runs code in an interpreter of its own, since huggingface_hub reads the environment when it is imported."""
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return done.stdout.strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("temper")
    parser.add_argument("--minilm", type=Path)
    args = parser.parse_args()
    folder, checks, texts = args.minilm or minilm(), Checks(), fixture_texts()
    print(versions())
    endpoint, asked = server(folder)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        temper = Temper(args.temper, scratch)
        reference = temper.embed(folder, texts)
        (scratch / "texts.json").write_text(json.dumps(texts))
        encode = (f"import json, numpy; from sentence_transformers import SentenceTransformer\n"
                  f"texts = json.load(open({str(scratch / 'texts.json')!r}))\n"
                  f"vectors = SentenceTransformer({ID!r}, device='cpu').encode(texts)\n"
                  f"numpy.save({str(scratch / 'theirs.npy')!r}, vectors)")

        home = str(scratch / "pulled-by-temper")
        os.environ.update(HF_HOME=home, HF_ENDPOINT=endpoint, HF_HUB_OFFLINE="0")
        print("pulled", temper.run("pull", ID).strip())
        print("asked", len(asked), "times:", *sorted({path.split("?")[0].rpartition("/")[2] for path in asked}))
        before = len(asked)
        python(encode, HF_HUB_OFFLINE="1")
        checks.equal("sentence-transformers, offline, loads what temper pulled", reference, np.load(scratch / "theirs.npy"))
        scanned = python("from huggingface_hub import scan_cache_dir as scan; c = scan();"
                         "print([r.repo_id for r in c.repos], len(c.warnings))")
        checks.note("huggingface_hub's scan of the cache finds it without a warning", scanned == f"['{ID}'] 0", scanned)

        for name, code in [("snapshot_download", f"from huggingface_hub import snapshot_download as s; s({ID!r})"),
                           ("SentenceTransformer", encode)]:
            home = str(scratch / f"by-{name}")
            os.environ.update(HF_HOME=home)
            python(code, HF_HUB_OFFLINE="0", HF_HUB_DISABLE_XET="1")
            before = len(asked)
            os.environ.update(HF_HUB_OFFLINE="0")
            ours = temper.embed(ID, texts)
            checks.equal(f"temper loads what {name} downloaded", ours, reference)
            checks.note("and asks the hub for nothing", len(asked) == before, f"{len(asked) - before} requests")
            os.environ.update(HF_HUB_OFFLINE="1")
            checks.equal("offline too", temper.embed(ID, texts), reference)
    checks.end()


if __name__ == "__main__":
    main()
