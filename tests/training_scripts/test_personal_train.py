"""The script that trains a shared network and everybody's head, as a training job runs it."""

import personal_train


def test_it_leaves_an_archive_for_each_user_and_one_for_all(personal_run):
    names = sorted(path.name for path in personal_run.model.iterdir())
    assert names == ["shared.tar.gz", *(f"user-00{number}.tar.gz" for number in range(4))]
    sizes = personal_run.report("evaluation")["archive_bytes"]
    assert sizes == {name: (personal_run.model / name).stat().st_size for name in names}
    assert "epoch 2/2 loss=" in personal_run.stdout and "archive 4/4" in personal_run.stdout


def test_the_trained_part_has_the_layers_that_personal_models_need():
    part = personal_train.build_trained_part((12, 12, 128), class_count=10, embedding_units=8, dropout=0.3)
    assert part.get_layer("embedding").output.shape == (None, 8)
    assert part.get_layer("head") is part.layers[-1] and part.output_shape == (None, 10)


def test_images_too_small_for_vgg16_are_refused(call_main, users_data, vgg16_base, capsys):
    folders = ["--data-dir", users_data, "--weights-dir", vgg16_base]
    error, _ = call_main(personal_train.main, *folders, "--image-size", 16)
    assert isinstance(error, SystemExit)
    assert "--image-size: 16 is out of range; pass at least 32, as VGG16 needs" in capsys.readouterr().err
