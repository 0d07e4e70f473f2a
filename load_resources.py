"""Get the data set, prepare it, check the two networks and the device.

    python load_resources.py                                  # MNIST, from the first source that has it
    python load_resources.py --data_dir ~/Downloads/mnist     # from IDX files that you have already
    python load_resources.py --dataset fashion_mnist

The sources, in this order: IDX files in ``--data_dir`` or ``MNIST_DIR``; the Hugging Face Hub (or the mirror that
``HF_ENDPOINT`` names); public mirrors of the IDX files; and, where nothing can be reached and no data set was asked
for by name, the offline stand-in: scikit-learn's handwritten digits in MNIST's form. The other scripts call
``ensure``, so that running this script first is never necessary.

How a download is watched stands in ``download.py``, how a file is read and checked in ``idx.py``.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from hi_mnist import cli, data, download, files, networks, prepare
from hi_mnist.cli import LabError
from hi_mnist.data import DATASETS
from hi_mnist.networks import AE_NETWORK, DDPM_NETWORK

# --------------------------------------------------------------------------- what the other scripts call


# --------------------------------------------------------------------------- preparing


# --------------------------------------------------------------------------- the Hub and the mirrors


# --------------------------------------------------------------------------- the offline stand-in


# --------------------------------------------------------------------------- the script


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="load_resources.py",
        description="Get the data set, prepare it, check the two networks and the device.",
        epilog="Running it again changes nothing, but looks for MNIST again where only the stand-in is there.",
    )
    parser.add_argument("--data_dir", metavar="DIR", help="folder with the four IDX files, gzipped or not")
    parser.add_argument(
        "--dataset", choices=tuple(DATASETS), help="default: mnist, or digits where MNIST cannot be had"
    )
    parser.add_argument("--ae", metavar="SOURCE", help="AutoEncoder: Hub id or folder (default: the shipped one)")
    parser.add_argument("--ddpm", metavar="SOURCE", help="diffusion model: Hub id or folder (default: the shipped one)")
    return cli.one_line_errors(parser)


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    with _network_check(args.ae, args.ddpm) as report_networks:
        _report_data(args.dataset, args.data_dir)
        status = report_networks()
    if status == 2:
        return 2  # an error, said already
    choice = "" if args.dataset in (None, "mnist") else f" --dataset {args.dataset}"
    print(f"next: python train.py --use_pca{choice}")
    return 2 if status == UNSOUND else 0


def _report_data(dataset: str | None, data_dir: str | None) -> None:
    """Prepare a data set, again where its contents have changed, and print what it is."""
    folder = data.prepared_dir(dataset or "mnist")
    source = prepare.prepared_source(folder)
    if source and not prepare.contents_match(folder, source):
        # Mark it as what it is: ensure() looks at sizes only, and would take it for whole.
        print(f"{folder} does not have the checksums that were noted", flush=True)
        files.write_text(folder / "source.json", json.dumps({"dataset": source["dataset"]}) + "\n")
    dataset = prepare._ensure(dataset, data_dir, retry_stand_in=True)
    source = data.read_source(dataset)
    _print_fact("data set", f"{DATASETS[dataset]}, prepared in {data.prepared_dir(dataset)}")
    _print_fact("source", source["source"])
    _print_fact("images", f"{source['train']:,} for training, {source['test']:,} for testing")


NETWORKS_FLAG = "--networks-process"
UNSOUND = 3  # exit status of that process where a network does not load
# Seconds for it to end in, longer than it gives a download's process that it may have started.
NETWORKS_CLEAR_UP_LIMIT = 4 * download.CLEAR_UP_LIMIT


@contextmanager
def _network_check(ae: str | None, ddpm: str | None) -> Iterator[Callable[[], int]]:
    """Check the networks in a process of its own: it imports torch, more than a second, while data is prepared.

    Yields:
        a function that has it load them and prints what it says: 0, ``UNSOUND``, or 2 after another error's line.
    """
    told = False
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).resolve()), NETWORKS_FLAG, json.dumps([ae, ddpm])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONIOENCODING": "utf-8:surrogateescape"},
        encoding="utf-8",
        errors="surrogateescape",
        # Ctrl-C is for this process, which then ends the other. The first is POSIX's way, the second Windows's.
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )

    def report_networks() -> int:
        nonlocal told
        told = True
        with suppress(OSError):  # where it has died
            process.stdin.write("go on\n")
            process.stdin.flush()
        for line in process.stdout:
            print(line, end="", flush=True)
        status = process.wait()
        if status < 0:
            raise LabError(f"signal {-status} ended the check of the networks; close other programs and try again")
        if status not in (0, 2, UNSOUND):
            raise LabError(f"the check of the networks ended with status {status}; what it said stands above")
        return status

    try:
        yield report_networks
    finally:
        with suppress(OSError):
            process.stdin.close()  # it takes this for the end, and sees it too where this process is killed
        if told:  # there may be a download to clear up
            with suppress(subprocess.TimeoutExpired):
                process.wait(NETWORKS_CLEAR_UP_LIMIT)
        process.kill()
        process.wait()
        process.stdout.close()


def _networks_process(ae: str | None, ddpm: str | None) -> NoReturn:
    """The other side of ``_network_check``: waits for its line, and ends when its standard input does."""
    told = threading.Event()

    def listen() -> None:
        for _ in sys.stdin:
            told.set()
        if hasattr(signal, "pthread_kill"):  # elsewhere nothing is as soft
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            time.sleep(NETWORKS_CLEAR_UP_LIMIT)
        os._exit(130)

    threading.Thread(target=listen, daemon=True).start()
    try:
        with networks.without_collecting():
            import model  # noqa: F401  it brings torch
        told.wait()
        sound = _report_networks(ae, ddpm)
        sys.stdout.flush()
    except ImportError as error:
        raise LabError(f"{error}; run: python -m pip install -r requirements.txt") from None
    except (KeyboardInterrupt, BrokenPipeError):  # the first process says why, or has gone
        os._exit(130)
    os._exit(0 if sound else UNSOUND)  # taking torch down in good order would be another tenth of a second


def _report_networks(ae: str | None, ddpm: str | None) -> bool:
    """Load both networks and print what they are; True where both load. A PCA run needs neither."""
    try:
        device = networks.get_device()
    except LabError as error:
        _print_error(error)
        return False
    sound = True
    for label, load, network, chosen in (
        ("AutoEncoder", networks.load_ae, AE_NETWORK, ae),
        ("diffusion", networks.load_ddpm, DDPM_NETWORK, ddpm),
    ):
        try:
            net = load(chosen)
        except LabError as error:
            _print_error(error)
            sound = False
            continue
        n_parameters = sum(p.numel() for p in net.parameters())
        _print_fact(label, f"{n_parameters:,} parameters, from {networks.network_source(network, chosen)}")
    _print_fact("device", str(device))
    return sound


def _print_fact(label: str, fact: str) -> None:
    print(f"{label:<12}{fact}", flush=True)


def _print_error(error: LabError) -> None:
    print(f"error: {cli.explain(error)}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == [NETWORKS_FLAG]:
        sys.exit(cli.run_script(lambda: _networks_process(*json.loads(sys.argv[2]))))
    sys.exit(cli.run_script(main))
