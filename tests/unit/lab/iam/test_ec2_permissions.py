"""
EC2 requests as the permissions that they need.
"""

from lab.iam.ec2_permissions import Permission, ec2_permissions

EVERYWHERE = {"aws:RequestedRegion": "us-east-1", "ec2:Region": "us-east-1"}


def needed(action, form=None, tags=None) -> list[Permission]:
    def known(_, name):
        return {f"ec2:ResourceTag/{k}": v for k, v in (tags or {}).get(name, {}).items()}

    return ec2_permissions(
        action,
        form or {},
        region="us-east-1",
        account="1",
        known=known,
    )


def arns(found: list[Permission]) -> set[str]:
    return {f"{one.action} {one.resource.removeprefix('arn:aws:ec2:us-east-1:')}" for one in found}


def test_describing_needs_no_resource():
    """AWS's Describe actions know none."""
    expected = [Permission("ec2:DescribeInstances", "*", EVERYWHERE)]
    assert expected == needed("DescribeInstances", {"InstanceId.1": "i-1"})


def test_running_an_instance_needs_all_that_it_is_made_of():
    """Image, key, groups, subnet; and tags on create are an act of their own."""
    form = {
        "ImageId": "ami-1",
        "InstanceType": "t2.micro",
        "KeyName": "k",
        "SecurityGroupId.1": "sg-1",
        "TagSpecification.1.ResourceType": "instance",
        "TagSpecification.1.Tag.1.Key": "project",
        "TagSpecification.1.Tag.1.Value": "tiles",
    }
    found = needed("RunInstances", form)
    expected = {
        "ec2:RunInstances :image/ami-1",
        "ec2:RunInstances 1:key-pair/k",
        "ec2:RunInstances 1:security-group/sg-1",
        "ec2:RunInstances 1:instance/*",
        "ec2:RunInstances 1:volume/*",
        "ec2:RunInstances 1:network-interface/*",
        "ec2:CreateTags 1:instance/*",
    }
    assert expected == arns(found)
    running = [one for one in found if one.action == "ec2:RunInstances"]
    (instance,) = [one for one in running if one.resource.endswith(":instance/*")]
    assert instance.context["ec2:InstanceType"] == "t2.micro"
    assert instance.context["aws:RequestTag/project"] == "tiles"
    (tagging,) = [one for one in found if one.action == "ec2:CreateTags"]
    assert tagging.context["ec2:CreateAction"] == "RunInstances"


def test_acting_on_what_exists_carries_its_tags():
    """One one for each, so that one foreign instance refuses the whole call."""
    form = {"InstanceId.1": "i-1", "InstanceId.2": "i-2"}
    mine, other = needed("StopInstances", form, tags={"i-1": {"project": "tiles"}})
    assert mine.context["ec2:ResourceTag/project"] == "tiles"
    assert "ec2:ResourceTag/project" not in other.context


def test_tagging_later_tells_the_new_tags():
    """The resource's kind is read from its id."""
    form = {"ResourceId.1": "sg-1", "Tag.1.Key": "project", "Tag.1.Value": "tiles"}
    (found,) = needed("CreateTags", form)
    assert found.resource.endswith(":security-group/sg-1")
    assert found.context["aws:RequestTag/project"] == "tiles"
    assert found.context["aws:TagKeys"] == ["project"]


def test_a_new_key_pair_is_judged_by_its_name_once():
    """It does not exist yet, so it has no tags of its own."""
    assert {"ec2:ImportKeyPair 1:key-pair/k"} == arns(needed("ImportKeyPair", {"KeyName": "k"}))


def test_an_action_without_a_known_resource_asks_for_everything():
    """A statement with a narrower resource does not allow it."""
    assert [Permission("ec2:ModifyEverything", "*", EVERYWHERE)] == needed("ModifyEverything")
