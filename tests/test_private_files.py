"""Files with secrets are made private to their owner, whatever their mode was."""

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from in_process import InProcess
from world import Killsync, simulator

from killsync import files

OTHER_USER = 65534
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def tokens(program: Killsync) -> Path:
    return Path(f"{program.database}.tokens")


def configured(program: Killsync, text: str = "") -> Path:
    file = program.directory / "config.toml"
    file.write_text(text)
    file.chmod(0o600)
    program.environment["KILLSYNC_CONFIG"] = str(file)
    return file


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    """A database with one user, to be copied."""
    with simulator(characters=1, killmails=0) as esi:
        program = InProcess(tmp_path_factory.mktemp("template"), esi)
        program.add_users()
        yield program


@pytest.fixture
def program(template: InProcess, tmp_path: Path) -> InProcess:
    return template.copy_to(tmp_path)


@pytest.mark.parametrize("command", ["status", "scan", "check", "users", "export"])
def test_files_that_others_may_read_are_made_private_once_with_a_warning(
    program: Killsync, command: str
) -> None:
    files = [configured(program), tokens(program)]
    for file in files:
        file.chmod(0o644)
    said = program.run(command).stderr
    for file in files:
        assert f"killsync: {file} could be read by others; it is now private (0600)\n" in said
        assert mode(file) == 0o600
    assert "private" not in program.run(command).stderr


def test_what_sqlite_keeps_beside_the_token_file_is_made_private_too(program: Killsync) -> None:
    wal = Path(f"{tokens(program)}-wal")
    wal.touch(0o644)
    assert str(wal) in program.run("status").stderr
    assert mode(wal) == 0o600


@pytest.mark.parametrize("key", ["client_secret", "token_key"])
def test_a_file_of_a_secret_is_made_private(program: Killsync, key: str) -> None:
    secret = program.directory / "secret"
    secret.write_text("hunter2")
    secret.chmod(0o640)
    program.environment[f"KILLSYNC_{key.upper()}_FILE"] = str(secret)
    assert f"{secret} could be read by others" in program.run("status").stderr
    assert mode(secret) == 0o600


def test_a_device_is_left_alone(program: Killsync) -> None:
    before = mode(Path(os.devnull))
    assert program.run("status", KILLSYNC_CONFIG=os.devnull).stderr == ""
    assert mode(Path(os.devnull)) == before


def test_the_target_of_a_link_is_made_private(program: Killsync) -> None:
    file = configured(program)
    there = program.directory / "elsewhere.toml"
    file.rename(there)
    there.chmod(0o644)
    file.symlink_to(there)
    assert "private" in program.run("status").stderr
    assert mode(there) == 0o600


@ROOT_ONLY
@pytest.mark.parametrize(
    ("text", "holds"),
    [("", ""), ('token_key = "a"\nclient_secret = "b"', "client_secret and token_key")],
    ids=["nothing secret", "secrets"],
)
def test_a_configuration_of_another_user_is_warned_of_only_if_it_holds_a_secret(
    program: Killsync, text: str, holds: str
) -> None:
    file = configured(program, text)
    file.chmod(0o644)
    os.chown(file, OTHER_USER, OTHER_USER)
    said = program.run("status").stderr
    assert mode(file) == 0o644
    assert said.count("\n") == bool(holds)
    assert not holds or f"holds {holds}, and could not be made private" in said


@ROOT_ONLY
def test_a_token_file_of_another_user_is_a_problem_for_its_owner_to_fix(program: Killsync) -> None:
    tokens(program).chmod(0o644)
    os.chown(tokens(program), OTHER_USER, OTHER_USER)
    done = program.run("check", exit_code=1)
    assert f"{tokens(program)} can be read by others, holds tokens" in done.stderr
    assert "have its owner `chmod 600` it" in done.stdout


@ROOT_ONLY
def test_a_secret_that_a_container_was_given_is_left_alone(program: Killsync) -> None:
    secret = program.directory / "secret"
    secret.write_text("hunter2")
    secret.chmod(0o444)
    os.chown(secret, OTHER_USER, OTHER_USER)
    assert program.run("status", KILLSYNC_CLIENT_SECRET_FILE=str(secret)).stderr == ""
    assert mode(secret) == 0o444


@ROOT_ONLY
@pytest.mark.parametrize("command", [("users", "add"), ("scan",)])
@pytest.mark.parametrize("ending", ["", "-wal", "-shm", "-journal"])
def test_tokens_are_not_kept_in_what_another_user_has_laid_out(
    program: Killsync, ending: str, command: tuple[str, ...]
) -> None:
    laid_out = Path(f"{tokens(program)}{ending}")
    laid_out.write_bytes(laid_out.read_bytes() if laid_out.exists() else b"")
    laid_out.chmod(0o666)
    os.chown(laid_out, OTHER_USER, OTHER_USER)
    before = laid_out.read_bytes()
    program.simulator.clear_log()
    token = program.simulator.logins[0]["refresh_token"]
    program.make_due()
    done = program.run(*command, given=f"{token}\n", exit_code=2)
    name = pwd.getpwuid(OTHER_USER).pw_name
    assert f"{laid_out}: belongs to user {name}" in done.stderr
    assert laid_out.read_bytes() == before
    assert program.simulator.log("token") == []
    said = program.run("check", exit_code=1).stdout
    assert f"belongs to user {name}" in said


@ROOT_ONLY
def test_tokens_are_not_kept_where_a_link_of_another_user_leads(program: Killsync) -> None:
    elsewhere = program.directory / "mine"
    tokens(program).rename(elsewhere)
    tokens(program).symlink_to(elsewhere)
    program.run("scan")
    os.chown(tokens(program), OTHER_USER, OTHER_USER, follow_symlinks=False)
    program.make_due()
    assert "belongs to user" in program.run("scan", exit_code=2).stderr


@ROOT_ONLY
def test_tokens_are_not_kept_where_a_dangling_link_of_another_user_leads(
    program: Killsync,
) -> None:
    tokens(program).unlink()
    target = program.directory / "not-there"
    tokens(program).symlink_to(target)
    os.chown(tokens(program), OTHER_USER, OTHER_USER, follow_symlinks=False)
    token = program.simulator.logins[0]["refresh_token"]
    done = program.run("users", "add", given=f"{token}\n", exit_code=2)
    assert "belongs to user" in done.stderr
    assert not target.exists()


@ROOT_ONLY
def test_root_may_use_the_token_file_in_its_owners_directory(program: Killsync) -> None:
    for path in (program.directory, *program.directory.iterdir()):
        os.chown(path, OTHER_USER, OTHER_USER)
    program.run("scan")


@pytest.mark.parametrize(
    ("owner", "user", "directory_owner", "may"),
    [
        (1000, 1000, 0, True),
        (1000, 1000, 1001, True),
        (1001, 1000, 1001, False),
        (0, 1000, 0, False),
        (1000, 0, 1000, True),
        (1000, 0, 0, False),
        (0, 0, 1000, True),
    ],
    ids=[
        "ours",
        "ours in a directory of another user",
        "of another user",
        "of root",
        "root, in its owner's directory",
        "root, in a shared directory",
        "root's own",
    ],
)
def test_secrets_are_kept_in_files_of_the_user_alone(
    owner: int, user: int, directory_owner: int, may: bool
) -> None:
    assert files.may_use(owner, user, directory_owner) is may
