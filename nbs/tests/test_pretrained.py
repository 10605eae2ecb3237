"torchvision's ImageNet weights as a teacher, without a download: random weights stand in the cache where torchvision looks first"
import pytest, torch, torchvision
from ddnb.methods.cda import CDA
from ddnb.train.train import Teacher

@pytest.fixture
def cached_weights(tmp_path):
    old = torch.hub.get_dir()
    torch.hub.set_dir(str(tmp_path))
    url = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.url
    (tmp_path/'checkpoints').mkdir()
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path/'checkpoints'/url.rsplit('/', 1)[1])
    yield
    torch.hub.set_dir(old)

def test_pretrained_teacher_recovers_and_travels(cached_weights, tmp_path):
    teacher = Teacher.pretrained('resnet18')
    assert len(teacher.classes) == len(set(teacher.classes)) == 1000 and teacher.classes[0] == 'tench' and teacher.size == 224 and abs(teacher.accuracy - .69758) < 1e-6
    back = Teacher.load(teacher.save(tmp_path/'t'))
    x = torch.rand(1, 3, 224, 224)
    assert back.identity == teacher.identity and torch.equal(back.logits(x), teacher.logits(x)) and back.net.conv1.stride == (2, 2)
    event = next(CDA.preset('imagenet-1k', ipc=1, batch=2, device='cpu').stream(teacher, {}))
    assert event.total == 500 * 4000 and event.images().shape == (2, 3, 224, 224) and len(event.read()['layers']) == 20
