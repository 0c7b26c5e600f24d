"""A board that qemu emulates (-M virt), started from an image file, and its serial line."""

import queue
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

PAGE_PORT = 8080
PLAIN_PORT = 443
FIRMWARE_OFFSET = "4M"


@dataclass(frozen=True, slots=True)
class Boot:
    """What a machine starts from: a card and, read from its firmware partition, the kernel, initramfs and command line.

    `parameters` go to the kernel's command line as well; `probe` is a second disk.
    """

    card: Path
    kernel: Path
    initramfs: Path
    command_line: str
    parameters: Sequence[str] = ()
    probe: Path | None = None


class Machine:
    """A running emulator. Its serial line is read by a thread; times are seconds since its start."""

    def __init__(self, boot: Boot, log: Path) -> None:
        """Start it; everything that it says on the serial line also goes to the file `log`."""
        self.pages = free_port()
        self.plain = free_port()
        self._log = log
        self._lines: queue.Queue[tuple[float, str] | None] = queue.Queue()
        self.heard: list[tuple[float, str]] = []
        self._start_s = time.monotonic()
        self._process = subprocess.Popen(
            self._command(boot), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self._reader = threading.Thread(target=self._read, name="serial line")
        self._reader.start()

    def __enter__(self) -> Self:
        """Nothing more to do."""
        return self

    def __exit__(self, *_: object) -> None:
        """Whatever happened, no emulator stays behind."""
        self.kill()

    def _command(self, boot: Boot) -> list[str]:
        forward = f"hostfwd=tcp:127.0.0.1:{self.pages}-:{PAGE_PORT},hostfwd=tcp:127.0.0.1:{self.plain}-:{PLAIN_PORT}"
        line = " ".join([boot.command_line.replace("quiet", ""), "console=ttyAMA0", *boot.parameters])
        command = [
            "qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a72", "-smp", "2", "-m", "1024", "-nographic",
            "-no-reboot", "-nodefaults", "-serial", "stdio",
            "-kernel", str(boot.kernel), "-initrd", str(boot.initramfs), "-append", line,
            # Every write reaches the file at once, in the order of the guest: as far as a killed emulator can be a cut.
            "-drive", f"if=none,id=card,format=raw,cache=writeback,file={boot.card}",
            "-device", "virtio-blk-pci,drive=card",
            "-netdev", f"user,id=lan,restrict=y,{forward}", "-device", "virtio-net-pci,netdev=lan,romfile=",
            "-device", "virtio-rng-pci",
        ]  # fmt: skip
        if boot.probe is not None:
            command += ["-drive", f"if=none,id=probe,format=raw,readonly=on,file={boot.probe}"]
            command += ["-device", "virtio-blk-pci,drive=probe"]
        return command

    def _read(self) -> None:
        with self._log.open("w", encoding="utf-8") as log:
            for raw in self._process.stdout or ():
                at_s = time.monotonic() - self._start_s
                line = raw.decode("utf-8", "replace").rstrip()
                log.write(f"{at_s:8.2f} {line}\n")
                log.flush()
                self._lines.put((at_s, line))
        self._lines.put(None)

    def wait_for(self, pattern: str, timeout_s: float) -> tuple[float, re.Match[str]]:
        """The time and the match of the first line from now on that fits. Raises TimeoutError, EOFError."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            try:
                item = self._lines.get(timeout=max(0.0, deadline_s - time.monotonic()))
            except queue.Empty:
                raise TimeoutError(
                    f"no {pattern!r} on the serial line within {timeout_s:.0f} s; see {self._log}"
                ) from None
            if item is None:
                raise EOFError(f"the emulator ended before {pattern!r}; see {self._log}")
            self.heard.append(item)
            if match := re.search(pattern, item[1]):
                return item[0], match

    def now_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start_s

    def kill(self) -> None:
        """Pull the plug."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._reader.join()


def free_port() -> int:
    """A TCP port of this machine that nothing uses."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def make_card(image: Path, card: Path, size_mib: int) -> None:
    """A card with the image on it and room behind it."""
    subprocess.run(["cp", "--sparse=always", image, card], check=True)
    with card.open("r+b") as file:
        file.truncate(size_mib << 20)


def read_firmware(card: Path, name: str, to: Path) -> None:
    """Copy a file out of the firmware partition. Raises CalledProcessError."""
    source = f"{card}@@{FIRMWARE_OFFSET}"
    subprocess.run(["mcopy", "-n", "-o", "-i", source, f"::{name}", to], check=True, capture_output=True)


def write_firmware(card: Path, name: str, text: bytes) -> None:
    """What a person does with an editor before the first start."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(text)
        file.flush()
        command = ["mcopy", "-o", "-i", f"{card}@@{FIRMWARE_OFFSET}", file.name, f"::{name}"]
        subprocess.run(command, check=True, capture_output=True)


def make_probe(files: Iterable[Path], disk: Path) -> None:
    """A disk labelled PROBE that holds the files."""
    subprocess.run(["mkfs.vfat", "-C", "-n", "PROBE", disk, str(64 * 1024)], check=True, capture_output=True)
    for file in files:
        subprocess.run(["mcopy", "-i", disk, file, f"::{file.name}"], check=True, capture_output=True)
