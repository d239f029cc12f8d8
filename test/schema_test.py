#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/config.schema.json is a JSON Schema, and the shipped config.json (comments taken out) satisfies it. Skips (77)
where python3-jsonschema is not installed."""

import json
import pathlib
import re
import sys

try:
    import jsonschema
except ImportError:
    print("python3-jsonschema is not installed")
    sys.exit(77)

root = pathlib.Path(__file__).resolve().parent.parent
# A string, which is kept, or a comment, which is not.
TOKEN = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)


def without_comments(text):
    return TOKEN.sub(lambda match: match.group(1) or "", text)


assert json.loads(without_comments('{"a": "b//c", /* d */ "e": 1} // f')) == {"a": "b//c", "e": 1}

schema = json.loads((root / "docs" / "config.schema.json").read_text())
validator = jsonschema.validators.validator_for(schema)
validator.check_schema(schema)
config = json.loads(without_comments((root / "config.json").read_text()))
errors = sorted(validator(schema).iter_errors(config), key=lambda error: list(error.absolute_path))
for error in errors:
    print(f"config.json: /{'/'.join(map(str, error.absolute_path))}: {error.message}")
if not list(validator(schema).iter_errors({"no such key": 1})):
    errors.append("docs/config.schema.json accepts unknown keys")
    print(errors[-1])
sys.exit(1 if errors else 0)
