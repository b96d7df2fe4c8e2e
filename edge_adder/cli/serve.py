"""`edge-adder serve`."""

from __future__ import annotations

import importlib
from typing import Annotated, Any

import typer

from edge_adder.cli.options import ModelOption, ProviderOption, Sha256Option, ThreadsOption
from edge_adder.cli.output import log_line
from edge_adder.errors import InputError
from edge_adder.serve.settings import (
    DEFAULT_GRACE_SECONDS,
    DEFAULT_MAX_BODY_MIB,
    DEFAULT_QUEUE,
    Settings,
)

EXAMPLE = "edge-adder serve --port 8080"

HostOption = Annotated[
    str, typer.Option(metavar="ADDRESS", help="Address to listen at; 0.0.0.0 for all.")
]
PortOption = Annotated[int, typer.Option(metavar="N", help="Port to listen at; 0 for a free one.")]
TokenOption = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        envvar="EDGE_ADDER_TOKEN",
        show_envvar=False,
        help="Answer only requests that carry this token (default: EDGE_ADDER_TOKEN, which other "
        "users of the machine do not see).",
    ),
]
NoAuthOption = Annotated[
    bool, typer.Option("--no-auth", help="Let everyone who can reach the address use it.")
]
AllowHostOption = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Further name of this server in addresses; repeatable."),
]
CorsOption = Annotated[
    list[str] | None,
    typer.Option(metavar="ORIGIN", help="Let pages of this origin use the server; repeatable."),
]
MaxBodyOption = Annotated[
    float, typer.Option(metavar="MIB", help="Largest body of a request, in MiB.")
]
QueueOption = Annotated[
    int, typer.Option(metavar="N", help="How many requests may wait; more are answered 503.")
]
GraceOption = Annotated[
    float,
    typer.Option(metavar="SECONDS", help="How long running requests may take after SIGTERM."),
]


def serve(
    model: ModelOption = None,
    provider: ProviderOption = "cpu",
    threads: ThreadsOption = 1,
    sha256: Sha256Option = None,
    host: HostOption = "127.0.0.1",
    port: PortOption = 8000,
    token: TokenOption = None,
    no_auth: NoAuthOption = False,
    allow_host: AllowHostOption = None,
    cors: CorsOption = None,
    max_body_mib: MaxBodyOption = DEFAULT_MAX_BODY_MIB,
    queue: QueueOption = DEFAULT_QUEUE,
    grace: GraceOption = DEFAULT_GRACE_SECONDS,
) -> None:
    """Serve the model over HTTP, with a page to draw on.

    Prints the address when it listens, and a line of JSON on stderr for each request. An address
    that other machines can reach needs --token or --no-auth. SIGTERM ends it with 0.
    """
    settings = Settings(
        host=host,
        port=port,
        token=token,
        hosts=tuple(allow_host or ()),
        origins=tuple(cors or ()),
        max_body_bytes=_bytes(max_body_mib),
        queue=queue,
        grace_seconds=grace,
    )
    if token is not None and no_auth:
        raise InputError("expected --token or --no-auth, got both")
    if not (settings.is_local or token or no_auth):
        raise InputError(
            f"other machines can reach {host}: add --token TEXT, or --no-auth to let all use it"
        )
    app, server = _load("app"), _load("server")

    from edge_adder.predictor import EdgeAdder

    adder = EdgeAdder(model, provider=provider, threads=threads, sha256=sha256)  # type: ignore[arg-type]
    with server.bind(settings) as bound:
        application = app.create_app(adder, settings, log=log_line)
        print(server.address_of(bound), flush=True)
        server.run(application, bound, settings)


def _bytes(mebibytes: float) -> int:
    if not 0 < mebibytes <= 1024:  # nor NaN
        raise InputError(f"--max-body-mib must be above 0 and at most 1024, got {mebibytes}")
    return max(1, round(mebibytes * 2**20))


def _load(name: str) -> Any:
    """Import a module of the server.

    Raises:
        InputError: A package of the extra is missing.
    """
    try:
        return importlib.import_module(f"edge_adder.serve.{name}")
    except ModuleNotFoundError as error:
        raise InputError(
            "edge-adder serve needs its packages: run `pip install 'edge-adder[serve]'` "
            f"(module {error.name} not found)"
        ) from error
