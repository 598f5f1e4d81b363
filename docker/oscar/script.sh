#!/bin/sh
# Script that OSCAR runs in the image for each request. INPUT_FILE_PATH is the JSON document of the request, or a photo
# or zip from the bucket. The script writes the answer, if there is one, to TMP_OUTPUT_DIR/NAME.json, and always a log
# to NAME.log. The exit status is that of `deepaas-cli predict`.
set -u

name=$(basename "$INPUT_FILE_PATH")
name=${name%.*}
log="$TMP_OUTPUT_DIR/$name.log"
answer="$TMP_OUTPUT_DIR/$name.json"
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# Python reads the document and runs the command: no part of a request is ever interpreted by a shell.
python3 - "$INPUT_FILE_PATH" "$work" > "$log" 2>&1 <<'PROGRAM'
import base64
import json
import pathlib
import subprocess
import sys

request, work = map(pathlib.Path, sys.argv[1:])
content = request.read_bytes()
try:
    document = json.loads(content) if content.lstrip()[:1] == b"{" else None
    if document is None:
        words = [f"--image={request}"]
    elif "help" in document:
        words = ["--help"]
    else:
        words = [f"--{key}={value}" for key, value in document.items() if key != "oscar-files"]
        for number, file in enumerate(document.get("oscar-files", [])):
            path = work / f"file-{number}"
            path.write_bytes(base64.b64decode(file["data"], validate=True))
            words.append(f"--{file['key']}={path}")
except (KeyError, TypeError, ValueError, AttributeError) as error:
    sys.exit(
        f"expected a JSON object with a list oscar-files of {{key, file_format, data}}, data in base64, received one "
        f"that cannot be read: {error!r}. See docs/clients.md."
    )
command = ["deepaas-cli", f"--deepaas_method_output={work / 'answer.json'}", "predict", *words]
sys.exit(subprocess.run(command).returncode)
PROGRAM
status=$?

if [ "$status" -ne 0 ] || [ ! -f "$work/answer.json" ]; then
    cat "$log"
    exit "$status"
fi
mv "$work/answer.json" "$answer"
cat "$answer"
