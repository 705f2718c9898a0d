"""check_promtool.py URL CERTIFICATE: promtool finds nothing to say against /metrics, and prometheus_client reads it.

promtool is on PATH, or the file that $PROMTOOL names.
"""
import os
import shutil
import ssl
import subprocess
import sys
import urllib.request

from common import SKIPPED, need, verdict

parser, = need("prometheus_client.parser")


def main():
    url, certificate = sys.argv[1:]
    promtool = os.environ.get("PROMTOOL") or shutil.which("promtool")
    if not promtool:
        print("skip promtool: there is no promtool (Debian package prometheus)")
        sys.exit(SKIPPED)
    with urllib.request.urlopen(f"{url}/metrics", context=ssl.create_default_context(cafile=certificate)) as answer:
        text = answer.read()
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True)
    said = (done.stdout + done.stderr).decode().strip()
    families = list(parser.text_string_to_metric_families(text.decode()))
    samples = sum(len(family.samples) for family in families)
    verdict(done.returncode == 0 and not said and samples,
            f"{len(families)} families, {samples} samples; promtool says {said!r}")


main()
