"""torchvision's ImageNet weights as a teacher, without a download.

Random weights stand in the cache where torchvision looks first.
"""
import pytest
import torch
import torchvision

from ddnb.methods.cda import CDA
from ddnb.train.train import Teacher


@pytest.fixture
def cached_weights(tmp_path):
    "A cache of torch.hub that holds random weights under the name of the published ones"
    cache = torch.hub.get_dir()
    name = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.url.rsplit('/', 1)[1]
    torch.hub.set_dir(str(tmp_path))
    (tmp_path/'checkpoints').mkdir()
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path/'checkpoints'/name)
    yield
    torch.hub.set_dir(cache)


def test_a_pretrained_teacher_knows_its_data(cached_weights):
    teacher = Teacher.pretrained('resnet18')
    assert len(set(teacher.classes)) == len(teacher.classes) == 1000
    assert teacher.classes[0] == 'tench'
    assert teacher.size == 224
    assert abs(teacher.accuracy - .69758) < 1e-6


def test_a_pretrained_teacher_travels(cached_weights, tmp_path):
    teacher = Teacher.pretrained('resnet18')
    back = Teacher.load(teacher.save(tmp_path/'t'))
    x = torch.rand(1, 3, 224, 224)
    assert back.identity == teacher.identity
    assert torch.equal(back.logits(x), teacher.logits(x))
    assert back.net.conv1.stride == (2, 2)


def test_a_pretrained_teacher_recovers(cached_weights):
    teacher = Teacher.pretrained('resnet18')
    event = next(CDA.preset('imagenet-1k', ipc=1, batch=2, device='cpu').stream(teacher, None, {}))
    assert event.total == 500 * 4000
    assert event.images().shape == (2, 3, 224, 224)
    assert len(event.read()['layers']) == 20
