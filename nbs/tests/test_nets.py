"Networks by name: what is refused, and hooks that do not stay"
import pytest
import torch
from torch import nn

from ddnb.core.basics import InputError
from ddnb.train.nets import ConvNet, check_net, last_linear, layer_inputs, make_net


@pytest.mark.parametrize('name, problem', [
    ('resnet19', 'no network'),
    ('convnt3-w16-batch', 'no network'),
    ('convnet3-w64-bach', 'means nothing'),
    ('resnet18-w64x128', 'one width'),
    ('vgg11_bn-w8', 'takes no widths'),
    ('resnet18-w0', 'width of 0'),
])
def test_a_name_that_means_nothing_is_refused(name, problem):
    with pytest.raises(InputError, match=problem): make_net(name, 10)


def test_a_near_name_is_proposed():
    with pytest.raises(InputError, match="did you mean 'convnet3'"): make_net('convnt3', 10)


@pytest.mark.parametrize('wrong', ['mine', ConvNet(10)])
def test_students_are_networks_by_name(wrong):
    with pytest.raises(InputError, match='students are networks by name|by name, not a'):
        check_net(wrong, 3, 32, 'students', 'nets')


def test_more_blocks_than_the_size_allows_are_refused():
    with pytest.raises(InputError, match='halve the image'): make_net('convnet5', 10, 1, 16)


def hooks(net): return [hook for m in net.modules() for hook in m._forward_pre_hooks]


def test_hooks_are_removed_after_an_error():
    net = make_net('convnet2-w8-batch', 10, 1, 16)
    with pytest.raises(RuntimeError, match='in the block'):
        with layer_inputs(net, (nn.BatchNorm2d, nn.Linear)) as inputs:
            net(torch.zeros(2, 1, 16, 16))
            assert len(inputs) == 3 and len(hooks(net)) == 3
            raise RuntimeError('in the block')
    assert not inputs
    assert not hooks(net)


def test_the_latest_input_is_kept():
    net = make_net('convnet2-w8', 10, 1, 16)
    with layer_inputs(net, nn.Conv2d) as inputs:
        for n in (1, 2): net(torch.zeros(n, 1, 16, 16))
        assert [len(x) for x in inputs.values()] == [2, 2]


def test_a_network_without_a_linear_layer_has_no_last_one():
    assert last_linear(nn.Sequential(nn.Conv2d(1, 1, 1), nn.Flatten())) is None


def test_grey_images_of_28_pixels_are_padded_to_32():
    "As in DC's ConvNet: the first convolution pads by 3 and the features are those of 32 pixels"
    net = ConvNet(10, 1, 28)
    assert net[0][0].padding == (3, 3)
    assert net[-1].in_features == 128 * 4 * 4
    assert net(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert ConvNet(10, 3, 28)[0][0].padding == ConvNet(10, 1, 16)[0][0].padding == (1, 1)
