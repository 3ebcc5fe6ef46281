"""
Settings from environment and secrets: everything that is wrong is named at once.
"""

import subprocess
import sys

import pytest
from geodiff import settings
from geodiff.environment import SettingsError


@pytest.fixture
def environ(tmp_path):
    secret = tmp_path / "password"
    secret.write_text("s3cret\n")
    return {"RABBITMQ_PASSWORD_FILE": str(secret), "TILES_DIR": str(tmp_path), "TASK_ID": "t1",
            "WORKER_SERVICE": "geo-diff_worker", "REAPER_SERVICE": "geo-diff_reaper"}  # fmt: skip


READERS = [settings.dealer_settings, settings.worker_settings, settings.updater_settings,
           settings.admin_settings]  # fmt: skip


@pytest.mark.parametrize("read", READERS)
def test_defaults_are_usable_and_the_password_stays_out_of_sight(read, environ):
    found = read(environ)
    assert "s3cret" == found.broker.password
    assert "s3cret" not in repr(found)


def test_all_that_is_wrong_is_named_at_once(environ):
    wrong = {
        "BATCH": "many",
        "WAIT": "-1",
        "MIN_BATCH": "0",
        "AMQP_PORT": "99999",
        "AMQP_HOST": "a b",
        "TILES_DIR": "/nowhere",
        "RABBITMQ_PASSWORD_FILE": "/no/such",
    }
    with pytest.raises(SettingsError) as caught:
        settings.dealer_settings({**environ, **wrong})
    assert all(name in str(caught.value) for name in wrong)
    assert "7 settings" in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"MIN_SCALE": "9", "MAX_SCALE": "3"}, "MIN_SCALE must not be above MAX_SCALE"),
        ({"GREY_LIGHT": "0.9"}, "GREY_LIGHT <= GREEN_LIGHT <= YELLOW_LIGHT"),
        ({"MIN_BATCH": "400"}, "MIN_BATCH=400 must not be above BATCH=300"),
        ({"SCALER": "scaler"}, "SCALER='scaler' must match"),
        ({"QTY_TASK": "nan"}, "QTY_TASK='nan' must be between"),
    ],
)
def test_settings_that_contradict_each_other_are_named(changed, said, environ):
    with pytest.raises(SettingsError, match="settings are not usable") as caught:
        settings.admin_settings({**environ, **changed})
    assert said in str(caught.value)


@pytest.mark.parametrize("read", [settings.scaler_settings, settings.reaper_settings])
def test_without_the_name_of_the_workers_nothing_is_scaled_or_killed(read, environ):
    assert "geo-diff_worker" == read(environ).worker_service
    for name in ("", "a/b", "../secrets"):
        with pytest.raises(SettingsError, match="WORKER_SERVICE="):
            read({**environ, "WORKER_SERVICE": name})


def test_an_empty_secret_is_refused(environ, tmp_path):
    (tmp_path / "password").write_text("\n")
    with pytest.raises(SettingsError, match="is empty"):
        settings.worker_settings(environ)


def run(*arguments, **environ):
    path = str(settings.Path(settings.__file__).parents[1])
    return subprocess.run([sys.executable, "-m", "geodiff", *arguments], cwd=path, env=environ,
                          capture_output=True, text=True, check=False)  # fmt: skip


def test_a_service_with_bad_settings_says_so_and_ends():
    result = run("worker", PREFETCH="x")
    assert 78 == result.returncode
    assert "TASK_ID" in result.stderr
    assert "PREFETCH" in result.stderr


@pytest.mark.parametrize("arguments", [(), ("baker",), ("worker", "dealer")])
def test_an_unknown_service_is_answered_with_those_that_exist(arguments):
    result = run(*arguments)
    assert 64 == result.returncode
    assert "dealer, worker, updater, admin-worker" in result.stderr
