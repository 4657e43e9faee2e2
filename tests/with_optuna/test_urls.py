"""What of a storage is shown: no password, in whatever place it stands."""

import traceback

import optuna
import pytest
from helpers.searches import TRAIN, VALID
from helpers.spaces import SPACE

import jaxnn
from jaxnn.with_optuna.urls import Secrets, named, shown

SHOWN = {
    "sqlite:///a/b c.db": "sqlite:///a/b c.db",
    "sqlite:////tmp/a.db": "sqlite:////tmp/a.db",
    r"sqlite:///C:\a\b.db": r"sqlite:///C:\a\b.db",
    "sqlite:///:memory:": "sqlite:///:memory:",
    "postgresql://localhost:5432/trials": "postgresql://localhost:5432/trials",
    "postgresql://[::1]:5432/trials": "postgresql://[::1]:5432/trials",
    "postgresql://me:s3cr3t@host:5432/trials": "postgresql://me:***@host:5432/trials",
    "postgresql+psycopg://me:s3cr%33t@host/trials": "postgresql+psycopg://me:***@host/trials",
    "postgresql://s3cr3t@host/trials": "postgresql://***@host/trials",
    # a token, and nothing after it
    "postgresql://s3cr3t:@host/trials": "postgresql://***@host/trials",
    "MySQL+PyMySQL://me:s3cr3t@host/trials": "MySQL+PyMySQL://me:***@host/trials",
    "postgresql://host/trials?password=s3cr3t": "postgresql://host/trials?***",
    "postgresql://host/trials?s3cr3t": "postgresql://host/trials?***",
    "sqlite:///x.db?key=s3cr3t": "sqlite:///x.db?***",
    # the host was forgotten
    "postgresql://me:73573/trials": "postgresql://me:***/trials",
}
ONLY_THE_KIND = [
    "postgresql:/me:s3cr3t@host/db",
    "postgresql//me:s3cr3t@host/db",
    "postgresql:me:s3cr3t@host/db",
    "postgresql://me:a@s3cr3t@host/db",
    "postgresql://me:s3cr3t/x@host/db",
    "postgresql://me:s3cr3t#x@host/db",
    "postgresql://m/e:s3cr3t@host/db",
    "postgresql://me:a:s3cr3t@host/db",
    "postgresql://me:s3cr3t\n@host/db",
    "postgresql://me:s3cr3t @host/db",
    "postgresql://me:s3cr3t@h1,h2/db",
    "postgresql://host/db;password=s3cr3t",
    "postgresql://host/me:s3cr3t",
    "postgresql://me:s3cr3t",
    # no driver
    "postgresql+s3cr3t://host/db",
]


def test_a_url_is_shown_by_what_is_known_to_be_harmless():
    for url, expected in SHOWN.items():
        assert shown(url) == expected
    for url in ONLY_THE_KIND:
        assert shown(url) == "postgresql:***", url
    for url in (
        "me:s3cr3t@host/db",
        "s3cr3t",
        "s3cr3t://host/db",
        " postgresql://me:s3cr3t@host/db",
    ):
        assert shown(url) == "***"
    assert (named(None), named(3), named(object())) == ("None", "3", "<object>")


@pytest.mark.parametrize("url", [*ONLY_THE_KIND, *SHOWN])
def test_texts_of_libraries_are_searched_for_what_is_hidden(url):
    secrets = Secrets(url)
    assert secrets.are_in("no route to me:s3cr3t") == ("s3cr" in url)
    assert secrets.are_in("invalid literal for int(): 'S3CR3T'") == ("s3cr" in url)
    assert secrets.are_in("%73%33cr3t") == ("s3cr" in url)
    assert not secrets.are_in("server: connection refused")


def test_an_error_is_shown_if_it_and_its_causes_hide_nothing():
    def raised(text, cause):
        try:
            try:
                raise OSError(cause)
            except OSError:
                raise ValueError(text)  # noqa: B904
        except ValueError as error:
            return error

    secrets = Secrets("postgresql://me:s3cr3t@host/db")
    assert not secrets.are_shown_by(raised("bad", "worse"))
    assert secrets.are_shown_by(raised("bad", "s3cr3t"))
    assert secrets.told(raised("bad", "s3cr3t")) == "bad"
    assert (
        secrets.told(OSError("as me:s3cr3t"))
        == "OSError, whose text repeats hidden parts of the URL"
    )
    noted = ValueError("bad")
    noted.add_note("with s3cr3t")
    assert secrets.are_shown_by(noted)


def test_a_storage_of_optunas_has_secrets_as_well():
    storage = optuna.storages.RDBStorage(
        "sqlite:///:memory:", engine_kwargs={"connect_args": {"timeout": 3, "uri": "s3cr3t"}}
    )
    assert Secrets(storage).are_in("cannot open s3cr3t")
    assert not Secrets(storage).are_in("cannot connect, timeout")
    storage.remove_session()


URLS = [
    "postgresql://127.0.0.1:1/db?user=me&password=s3cr3t",
    "postgresql:/me:s3cr3t@127.0.0.1/db",
    "postgresql://me:s3cr3t@127.0.0.1:port/db",
    "nosuch://me:s3cr3t@127.0.0.1/db",
    "mysql+pyodbc:///?odbc_connect=PWD%3Ds3cr3t",
]


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("way", ["search", "to_optuna"])
def test_no_error_shows_a_password(url, way, study):
    def call():
        if way == "search":
            jaxnn.search(SPACE, TRAIN, VALID, method="optuna", max_epochs=1, storage=url)
        jaxnn.to_optuna(study, url)

    with pytest.raises((ValueError, ImportError), match="storage got '") as caught:
        call()
    errors = [caught.value]
    for error in errors:
        errors += [one for one in (error.__cause__, error.__context__) if one is not None]
    told = [f"{error!r}" for error in errors]
    told += traceback.format_exception_only(caught.value)
    assert "s3cr3t" not in "".join(told)


@pytest.fixture(scope="module")
def study():
    settings = [{"hidden": (3,)}, {"hidden": (3,), "learning_rate": 0.1}]
    return jaxnn.sweep(settings, TRAIN, VALID, epochs=1, progress=False)


def test_the_call_shows_no_password(tmp_path):
    url = f"sqlite:///{tmp_path}/a.db?timeout=7"
    options = {"method": "optuna", "num_settings": 1, "max_epochs": 1, "progress": False}
    study = jaxnn.search(SPACE, TRAIN, VALID, storage=url, **options)
    assert f"storage='sqlite:///{tmp_path}/a.db?***'" in study.call
    # and is what a user would write
    assert "'learning_rate': jaxnn.loguniform(0.001, 1.0)" in study.call
    assert study.call.startswith("jaxnn.search(space={")
