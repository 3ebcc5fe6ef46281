"""
What secrets look like in a text, and the text without them.

The rules were compared with those of gitleaks and detect-secrets: `tests/unit/core` generates texts
by detect-secrets' rules, and each must be masked here. Entropy is not used: digests, keys of hosts
and ids of objects, which a run is full of, have as much of it.
"""

import re
from collections.abc import Mapping

# a quote as it is in a text, in JSON inside of JSON, and in HTML
_Q = r"""(?:\\{0,3}["']|&quot;|&\#x?\d\d;)"""
# what stands for a value is none: $VAR, ${VAR}, {{ var }}, <value>, ***, a path, our own mask
_VALUE = r"""(?![$<{*\[%]|\.{0,2}/|~/|&lt;|sha256:)"""
_NAME = r"""
    (?:passw(?:or)?d|passwd|passphrase|passcode|pwd|secret|token|api[_-]?key|cookie|credential
    |contrase(?:ñ|n|\\{1,4}u00f1)a|(?<=[\s:/])_auth
    |(?:access|account|auth|client|db|database|encryption|master|private|secret|service|session
       |shared|signing)[_-]?key
    |(?<=[_-])pass(?![a-z])|(?<![a-z])pass(?=[=\\"'&]))
    (?:[_-]?(?:value|b64|base64|hash|\d+))?
"""
_WORD = r"""
    (?!(?:none|null|nil|true|false|yes|no|str|int|bool|bytes|string|missing|required|empty)\b)
"""
_BARE = r"""[^\s"'`,;&<>(){}\[\]\\\x1b]"""
_BLOCK = r"(?:(?:[|>]|&gt;)[+-]?(?:\s|\\{1,4}n){1,40})?"  # YAML's, with its indent
_IS = r"(?:[:=\uff1a]|\\{1,4}uff1a|-(?:>|&gt;))"
_TAB = r"(?:\t|\\{1,4}t)"
_COLOUR = r"(?:\x1b\[[\d;]*m)?"
# a random word, where nothing but its place says that it is a value
_RANDOM = r"(?=\S*\d)(?=\S*[a-z])(?=\S*[A-Z])[\w+/=-]{10,}(?![\w.:/])"
_PREFIXES = r"""
    AGE-SECRET-KEY-1|AIza|dckr_[op]at_|dop_v1_|gh[oprsu]_|github_pat_|GR1348941
    |gl(?:pat|dt|ft|soat|rt|cbt|imt|ptt|agent|oas)-|hf_|hv[bs]\.|ops_eyJ|pypi-AgE
    |[rs]k_(?:live|test)_|sk-(?:ant-|proj-|svcacct-|admin-)?|sq0csp-|SG\.|ya29\.
    |xapp-
"""

SHAPES: Mapping[str, re.Pattern[str]] = {
    kind: re.compile(shape, re.VERBOSE)
    for kind, shape in {
        "a private key": r"""
            -{4,5}\ ?BEGIN\ (?:[A-Z0-9]+\ )*PRIVATE\ KEY(?:\ BLOCK)?\ ?-{4,5}
            (?s:.*?-----END\ (?:[A-Z0-9]+\ )*PRIVATE\ KEY(?:\ BLOCK)?-----|.*)
            |PuTTY-User-Key-File-\d(?s:.*)
        """,
        "a Swarm join token": r"SWMTKN-\d-[\w-]+",
        "a Swarm unlock key": r"SWMKEY-\d-[\w+/-]+",
        "an AWS access key": r"""
            (?<![A-Z0-9])(?:A3T[A-Z0-9]|ABIA|ACCA|AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])
        """,
        "a signed address": r"""
            (?i:(?:[?&;]|%3F|%26)(?:X-(?:Amz|Goog)-(?:Signature|Credential|Security-Token)
            |AWSAccessKeyId|(?:shared_?access_?)?signature|sig)(?:=|%3D))
            (?P<secret>(?:(?!%26)[^\s&"'<>\[])+)
            |(?P<hook>(?i:hooks\.slack\.com/services|discord(?:app)?\.com/api/webhooks)/[\w/-]+)
        """,
        "a password in an address": rf"""
            \b[a-zA-Z][\w+.-]{{1,20}}:/{{2}}[^\s/?\#@:"'<>]{{0,200}}:
            {_VALUE}(?P<secret>[^\s/"'<>]{{1,500}})@
            |(?i:%3A%2F%2F[^\s%]{{0,200}}%3A)
            {_VALUE}(?P<encoded>(?:(?!%40|%2F)[^\s"'<>]){{1,500}})%40
            |(?<![\w/@:.-])[\w.-]{{1,40}}:(?=[^\s@]*\d)(?=[^\s@]*[a-z])(?=[^\s@]*[A-Z])
            (?P<bare>[^\s/:@"'<>\\]{{8,100}})@(?!sha256)\w
        """,
        "a web token": r"\beyJ[\w-]{8,}\.[\w=-]{4,}(?:\.[\w=+/-]*)*",
        "a token of a service": rf"""
            (?<![\w+/=-])(?:
                (?:{_PREFIXES})[\w-]{{16,}}(?:\.[\w-]+)*
            |   (?i:xox[abeoprs])(?:\.xox[bp])?-\d[\w-]{{2,}}
            |   (?:AC|SK)[a-z0-9]{{32}}(?![\w+/=])
            |   key-[0-9a-z]{{32}}(?!\w)|npm_[A-Za-z0-9]{{36}}  # key-<17> is a key pair of EC2
            |   [0-9a-z]{{32}}-us\d{{1,2}}\b
            |   \d{{8,10}}:[\w-]{{35}}(?![\w-])
            |   [MNO][\w-]{{23,25}}\.[\w-]{{6}}\.[\w-]{{27}}
            |   AKC[a-zA-Z0-9]{{10,}}
            |   AccountKey=[\w+/=]{{86,88}}  # Azure's begins with a slash at times, as a path does
            )
        """,
        "a header with a secret": rf"""
            (?i:\b(?:(?:proxy-)?authorization|x-registry-auth|x-[\w-]{{0,30}}(?:key|token)))
            {_Q}?\s{{0,4}}[:=,]\s{{0,4}}{_Q}? (?!\s)(?P<secret>[^\r\n"'<\\{{}}\[]{{4,}})
            |(?i:\b(?:bearer|basic))\s{{1,4}}
            (?P<credentials>(?=[^\s"'<]*(?:[a-z]\S*[A-Z]|\d))[\w.~+/-]{{8,}}=*)
        """,
        "a cookie": rf"""
            (?i:\b(?:set-)?cookie){_Q}?\s{{0,4}}[:=,]\s{{0,4}}{_Q}?
            (?P<secret>[\w.-]{{1,100}}=[^\r\n"'<\\\[]+)
            |(?i:{_Q}cookies{_Q})\s{{0,4}}:\s{{0,4}}\{{(?!\[)(?P<all>[^{{}}\[\]]{{4,}})\}}
            |(?:TRUE|FALSE){_TAB}/[^\s\\]*{_TAB}(?:TRUE|FALSE){_TAB}\d+{_TAB}[^\s\\]+{_TAB}
            (?P<jar>[^\s"'<\\\[]{{4,}})
        """,
        "a login to a registry": rf"""
            (?i:{_Q}(?:auth|identitytoken|registrytoken){_Q})\s{{0,4}}:\s{{0,4}}{_Q}
            (?P<secret>[\w+/=.-]{{4,}})
        """,
        # --secret is not one: Docker's takes a name
        "a password in a command": rf"""
            (?i:(?<![\w-])--?[a-z-]{{0,30}}(?:passw(?:or)?d|passphrase|pass|pwd|token|api-key))
            [ ]{{1,4}}{_Q}?(?!SWMTKN){_VALUE}(?P<argument>(?={_BARE}*\d){_BARE}{{6,}}+)
            |(?<![\w-])-setcookie[ ]{{1,4}}{_Q}?{_VALUE}(?P<cookie>{_BARE}{{6,}})
            |\bsshpass[ ]{{1,4}}-p[ ]?{_Q}?{_VALUE}(?P<ssh>{_BARE}{{4,}})
            |(?<![\w-])(?:-u|--user|--proxy-user)[ =]?{_Q}?[\w.@+-]{{1,100}}:
            {_VALUE}(?P<login>(?={_BARE}*\d)(?={_BARE}*[A-Za-z]){_BARE}{{6,}}+)
            |(?i:\blogin\s{{1,4}}[^\s<>]{{1,100}}\s{{1,4}}password\s{{1,4}}){_VALUE}
            (?P<netrc>{_BARE}{{4,}})
            |\b(?:mysql|mariadb)[\w-]{{0,20}}[ ][^\r\n|;<>]{{0,200}}?(?<=[ ])-p{_Q}?{_VALUE}
            (?P<client>(?={_BARE}*\d){_BARE}{{6,}}+)
            |(?i:\bidentified\s{{1,4}}(?:with\s{{1,4}}\S{{1,60}}\s{{1,4}})?by\s{{1,4}}){_Q}
            (?P<sql>[^\r\n"'<\\&\[]{{4,}})(?={_Q})
            |\bAUTH[ ]{{1,4}}(?:[\w.-]{{1,40}}[ ]{{1,4}})?(?P<redis>{_RANDOM})
        """,
        "a password or token": rf"""
            (?i:{_NAME}){_Q}?{_COLOUR}(?:
                \s{{0,4}}(?:=>|:=|{_IS})\s{{0,4}}{_COLOUR}\w?{_Q}{_VALUE}(?i:{_WORD})
                (?P<quoted>[^\r\n"'<\\&]{{4,}})(?={_Q})
            |   (?:=|(?i:%3D)){_COLOUR}(?![\w.]{{0,40}}(?i:{_NAME})){_VALUE}(?i:{_WORD})
                (?P<plain>(?:(?!%26){_BARE}){{4,}}+)(?![(\[])
            |   \s{{0,4}}{_IS}\s{{1,4}}{_BLOCK}{_COLOUR}{_VALUE}
                (?P<spoken>(?={_BARE}*\d){_BARE}{{6,}}+)(?![(\[])
            |   (?<=\w)(?:>|&gt;){_VALUE}(?P<element>(?=[^\s<>&]*\d)[^\s<>&]{{6,}})(?=</|&lt;/)
            |   (?<=["';])\s{{0,4}},\s{{0,4}}{_Q}(?i:value){_Q}\s{{0,4}}:\s{{0,4}}{_Q}{_VALUE}
                (?i:{_WORD})(?P<paired>[^\r\n"'<\\&]{{4,}})(?={_Q})
            |   (?:[ ]{{2,60}}|\t|(?<=["';]),\s{{0,4}}{_Q})(?P<random>{_RANDOM})
            |   (?<!secret)(?<!Secret)\s{{0,9}}</t[dh]>\s{{0,9}}<td[^>]{{0,80}}>{_VALUE}
                (?P<cell>(?=[^\s<]*\d)[^\s<>]{{6,}})\s{{0,9}}</t
            )
        """,
    }.items()
}


def without_secrets(
    text: str, shapes: Mapping[str, re.Pattern[str]] = SHAPES
) -> tuple[str, list[str]]:
    """
    Return the text without what looks like a secret, and the kinds of secrets in it.

    A named group of a shape is the secret; what is around it stays, and tells what it was.
    """
    kinds: list[str] = []

    def mask(found: re.Match[str]) -> str:
        named = [name for name, value in found.groupdict().items() if value is not None]
        start, end = found.span(named[0]) if named else found.span()
        whole, begin = found[0], found.start()
        return f"{whole[: start - begin]}[{kind} was here]{whole[end - begin :]}"

    for kind, shape in shapes.items():
        text, count = shape.subn(mask, text)
        kinds += [kind] * bool(count)
    return text, kinds
