# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine that consists of a Linux kernel and a few programs, in QEMU's interpreter: what another kernel than that of
this machine makes of them. Nothing of it reaches a disk or a network; it ends by itself."""

import pathlib
import re
import shutil
import subprocess
import sys

PROGRAMS = ("qemu-system-x86_64", "busybox", "cpio")
APPLETS = "sh mount mkdir ifconfig cat sleep poweroff grep awk head tail kill".split()

# One instruction takes a nanosecond, and time passes at once where nothing runs. Then the clock must be trusted and
# softirqs be accounted to whom they interrupt; mitigations would count what real CPUs do not need.
COUNTING = ["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off"]
COUNTING_KERNEL = "tsc=reliable tsc=noirqtime clocksource=tsc mitigations=off"

PREAMBLE = """#!/bin/sh
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp
ifconfig lo 127.0.0.1 up
ulimit -n 20000
cd /tmp
"""


def require():
    lacking = [name for name in PROGRAMS if not shutil.which(name)]
    if lacking:
        sys.exit(f"not installed: {' '.join(lacking)} (Debian: apt-get install qemu-system-x86 busybox-static cpio)")


def find_kernel(given, folder):
    """The one given, or the newest of /boot, or Debian's for clouds, downloaded by apt-get into `folder`."""
    if given:
        return given
    found = sorted(pathlib.Path("/boot").glob("vmlinuz-*"), key=lambda path: path.stat().st_mtime)
    if found:
        return found[-1]
    print("downloading Debian's cloud kernel", file=sys.stderr, flush=True)
    depends = subprocess.run(["apt-cache", "depends", "linux-image-cloud-amd64"], capture_output=True, text=True)
    package = re.search(r"Depends: (linux-image-\S+)", depends.stdout)
    if not package:
        sys.exit("no kernel in /boot, and apt-get knows no linux-image-cloud-amd64: give one with --kernel")
    downloaded = folder / "download"
    downloaded.mkdir(mode=0o777)
    downloaded.chmod(0o777)  # apt-get is another user
    subprocess.run(["apt-get", "download", "-q", package[1]], cwd=downloaded, check=True, stdout=sys.stderr)
    subprocess.run(["dpkg-deb", "-x", next(downloaded.glob("*.deb")), folder / "kernel"], check=True)
    return next((folder / "kernel/boot").glob("vmlinuz-*"))


class Guest:
    def __init__(self, kernel, folder):
        self.kernel = kernel
        self.root = folder / "root"
        for name in ("bin", "etc", "tmp", "proc", "sys", "dev"):
            (self.root / name).mkdir(parents=True)
        shutil.copy(shutil.which("busybox"), self.root / "bin/busybox")
        for applet in APPLETS:
            (self.root / "bin" / applet).symlink_to("busybox")
        self.write("etc/passwd", "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")

    def write(self, name, text):
        (self.root / name).write_text(text)

    def add(self, program):
        """The program, to be called by its name, and the libraries it needs."""
        target = self.root / "bin" / pathlib.Path(program).name
        shutil.copy(program, target)
        subprocess.run(["strip", "-g", target], check=True)
        listing = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        for library in re.findall(r"(/\S+) \(0x", listing):
            place = self.root / library[1:]
            if not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(library, place)

    def run(self, script, counting=False, timeout=900):
        """Boots, runs the script as root, and returns what came to the console. Files in /tmp are of this run alone."""
        init = self.root / "init"
        init.write_text(f"{PREAMBLE}{script}\npoweroff -f\n")
        init.chmod(0o755)
        image = self.root.parent / "initrd"
        with open(image, "wb") as output:
            names = subprocess.run(["find", "."], cwd=self.root, capture_output=True, check=True).stdout
            subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=self.root, input=names, stdout=output, check=True)
        argv = ["qemu-system-x86_64", "-machine", "q35", "-cpu", "max", *(COUNTING if counting else ["-accel", "tcg"]),
                "-smp", "1", "-m", "3072", "-nographic", "-no-reboot", "-nodefaults", "-serial", "stdio",
                "-kernel", self.kernel, "-initrd", image,
                "-append", f"console=ttyS0 quiet panic=-1 {COUNTING_KERNEL if counting else 'mitigations=off'}"]
        try:
            output = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                    timeout=timeout).stdout
        except subprocess.TimeoutExpired as expired:
            output = (expired.stdout or b"") + f"\nended after {timeout} s\n".encode()
        return output.decode(errors="replace").replace("\r", "")
