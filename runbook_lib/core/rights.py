"""
The IAM actions that a call of AWS's API needs, where they are not the call's own name.

Source: https://docs.aws.amazon.com/service-authorization/latest/reference/
"""

_NEEDS = {
    "ec2:RunInstances": ["ec2:RunInstances", "ec2:CreateTags"],
    "ec2:CreateSecurityGroup": ["ec2:CreateSecurityGroup", "ec2:CreateTags"],
    "ec2:ImportKeyPair": ["ec2:ImportKeyPair", "ec2:CreateTags"],
    "iam:CreateInstanceProfile": ["iam:CreateInstanceProfile", "iam:TagInstanceProfile"],
    "iam:CreateRole": ["iam:CreateRole", "iam:TagRole"],
    "s3:DeleteObjects": ["s3:DeleteObject"],
    "s3:GetBucketEncryption": ["s3:GetEncryptionConfiguration"],
    "s3:GetPublicAccessBlock": ["s3:GetBucketPublicAccessBlock"],
    "s3:HeadBucket": ["s3:ListBucket"],
    "s3:HeadObject": ["s3:GetObject"],
    "s3:ListBuckets": ["s3:ListAllMyBuckets"],
    "s3:ListObjectsV2": ["s3:ListBucket"],
    "s3:PutBucketEncryption": ["s3:PutEncryptionConfiguration"],
    "s3:PutPublicAccessBlock": ["s3:PutBucketPublicAccessBlock"],
    "sts:GetCallerIdentity": [],
}


def rights_of(call: str) -> list[str]:
    """
    Return the actions that a call such as `s3:ListObjectsV2` needs.
    """
    return _NEEDS.get(call, [call])
