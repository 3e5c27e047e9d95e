"""Arguments from the command line and folders from a training job's environment."""

from pathlib import Path

import pytest

from shared.arguments import create_folder_parser, create_parser, hyperparameters
from shared.arguments import parse as parse_command_line
from shared.exporting import VERSION

VARIABLES = {"SM_CHANNEL_TRAINING": "/in", "SM_MODEL_DIR": "/model", "SM_OUTPUT_DATA_DIR": "/out"}


@pytest.fixture
def parse(monkeypatch):
    def parse(*arguments: str, job: bool = True):
        for name, value in VARIABLES.items():
            monkeypatch.setenv(name, value) if job else monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr("sys.argv", ["train.py", *arguments])
        return parse_command_line(create_parser("Train.", epochs=2, batch_size=4, learning_rate=0.1))

    return parse


def test_folders_come_from_the_job_and_the_command_line_wins(parse):
    args = parse("--model-dir", "mine")
    assert (args.data_dir, args.model_dir, args.output_data_dir) == (Path("/in"), Path("mine"), Path("/out"))


def test_outside_a_job_the_folders_are_required(parse, capsys):
    with pytest.raises(SystemExit):
        parse(job=False)
    message = " ".join(capsys.readouterr().err.split())
    assert "--data-dir names no folder. Pass --data-dir: folder with train.npz" in message
    assert "as 01_prepare_data leaves it; a training job sets it by SM_CHANNEL_TRAINING." in message


@pytest.mark.parametrize("flag", ["--model-dir", "--output-data-dir", "--checkpoint-dir"])
def test_a_folder_that_cannot_be_written_is_named_before_the_training(parse, tmp_path, capsys, flag):
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit):
        parse(flag, str(tmp_path / "file" / "folder"))
    assert f"{flag} {tmp_path}/file/folder cannot be written. Name another folder." in capsys.readouterr().err
    parse(flag, str(tmp_path / "new" / "folder"))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("value", ["-1", "4294967296", "x"])
def test_a_seed_that_numpy_would_not_take_is_named(parse, capsys, value):
    with pytest.raises(SystemExit):
        parse("--seed", value)
    assert f"{value} is out of range; pass an integer from 0 to 4294967295" in capsys.readouterr().err


def test_a_folder_that_is_no_model_is_not_replaced_by_one(parse, tmp_path, capsys):
    (tmp_path / VERSION).mkdir()
    with pytest.raises(SystemExit):
        parse("--model-dir", str(tmp_path))
    assert "would be replaced, and holds no model" in capsys.readouterr().err
    (tmp_path / VERSION / "saved_model.pb").touch()
    assert parse("--model-dir", str(tmp_path)).model_dir == tmp_path


def test_hyperparameters_leave_out_folders_seed_and_threads(parse):
    assert (parse().checkpoint_dir, parse().threads) == (None, 0)
    args = parse("--learning-rate", "0.5", "--seed", "9", "--threads", "2", "--checkpoint-dir", "kept")
    assert args.checkpoint_dir == Path("kept")
    assert hyperparameters(args) == {
        "epochs": 2, "batch_size": 4, "learning_rate": 0.5, "weight_decay": 0.0, "label_smoothing": 0.0,
    }  # fmt: skip


def test_a_script_without_epochs_takes_folders_and_threads_alone():
    known = {action.dest for action in create_folder_parser("Enrol.")._actions}
    assert known == {"help", "data_dir", "model_dir", "output_data_dir", "threads"}


def test_help_says_default_and_variable_of_each_argument(parse, capsys):
    with pytest.raises(SystemExit):
        parse("--help", job=False)
    text = " ".join(capsys.readouterr().out.split())
    assert "SM_CHANNEL_TRAINING" in text and "(default: 0.1)" in text and "default: None" not in text


@pytest.mark.parametrize(
    "wrong", [["--epochs", "two"], ["--epochs", "1.5"], ["--batch-size", "-1"], ["--lr", "1"], ["--threads", "-1"]]
)
def test_wrong_values_are_refused(parse, wrong):
    with pytest.raises(SystemExit):
        parse(*wrong)
