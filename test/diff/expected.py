# SPDX-License-Identifier: GPL-3.0-or-later
"""expected.txt: where Trireme is known to differ from PostgreSQL, and why. Its head explains the lines."""

import pathlib

from sequence import MODES

HERE = pathlib.Path(__file__).resolve().parent


class Expected:
    def __init__(self, path=HERE / "expected.txt"):
        self.unbuilt, self.differs = {}, {}
        for number, line in enumerate(pathlib.Path(path).read_text(encoding="utf-8").splitlines(), 1):
            words = line.split(None, 1)
            if not words or words[0].startswith("#"):
                continue
            subject, _, reason = words[1].partition(":") if len(words) > 1 else ("", "", "")
            if not reason.strip():
                raise SystemExit(f"{path}:{number}: a reason is missing: {line}")
            if words[0] == "unbuilt":
                self.unbuilt[subject.strip()] = reason.strip()
            elif words[0] == "differs":
                name, mode = subject.split()
                if mode not in MODES:
                    raise SystemExit(f"{path}:{number}: {mode} is no mode")
                self.differs[name, mode] = reason.strip()
            else:
                raise SystemExit(f"{path}:{number}: neither unbuilt nor differs: {line}")

    def reason(self, sequence, mode):
        """Why this sequence may differ in this mode, or None."""
        if (sequence.name, mode) in self.differs:
            return self.differs[sequence.name, mode]
        if mode == "transaction":
            return next((self.unbuilt[need] for need in sequence.needs if need in self.unbuilt), None)
        return None
