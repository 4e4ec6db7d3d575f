# Prints the variables of a file, each ended by a NUL: read.py dotenv|json FILE
import json
import sys

syntax, file = sys.argv[1:]
if syntax == "json":
    with open(file, encoding="utf-8") as f:
        variables = json.load(f)
else:
    from dotenv import dotenv_values

    variables = dotenv_values(file, interpolate=False, encoding="utf-8")
sys.stdout.buffer.write(b"".join(f"{name}={value}\0".encode() for name, value in variables.items()))
