"""Credentials with a format of their own, which are recognised wherever they stand.

The formats are facts that the services publish; the rules of gitleaks and detect-secrets were
the index of what exists.  The patterns are looser in length and stricter in what surrounds them.
"""

import re
from collections.abc import Callable
from functools import partial

from core.domain.redaction.rule import REDACTED, START, Rule

_WORD = "[A-Za-z0-9_-]"
# Marks a pattern that matches only where a token may begin.  It is taken off and looked at after
# the rest: with it in front, the search could not jump to the pattern's literal beginning.
_B = "^"
# At least one digit within the next characters: `xoxb-your-token` is no token.
_HAS_DIGIT = r"(?=[A-Za-z0-9%_-]{0,40}[0-9])"
# The separator of an address, also in JSON and in a URL's query.
_SLASH = r"(?:\\?/|%2[Ff])"

# The anchor is a text that is in every match: looking for it costs a fortieth of the pattern.
_FORMATS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    # xoxe.xoxp- is matched from its second part: "xoxe." says nothing.
    ("slack", ("xox",), rf"xox[a-z]-{_HAS_DIGIT}[A-Za-z0-9%-]{{8,}}"),
    ("slack", ("xapp-", "xwfp-"), rf"(?:xapp|xwfp)-{_HAS_DIGIT}[A-Za-z0-9-]{{8,}}"),
    ("anthropic", ("sk-ant-",), rf"sk-ant-{_HAS_DIGIT}{_WORD}{{10,}}"),
    (
        "openai",
        ("sk-",),
        (
            rf"{_B}sk-(?:[a-z]{{2,9}}-(?=(?:[a-zA-Z_-]{{0,40}}[0-9]){{2}}){_WORD}{{20,}}"
            r"|(?=[A-Za-z]{0,40}[0-9])[A-Za-z0-9]{16,})"
        ),
    ),
    ("github", ("gh",), rf"{_B}gh[oprsu]_[A-Za-z0-9][A-Za-z0-9_.-]{{18,}}[A-Za-z0-9]"),
    ("github", ("github_pat_",), r"github_pat_[A-Za-z0-9_]{20,}"),
    (
        "gitlab",
        ("gl",),
        (
            rf"{_B}gl(?:pat|dt|ft|soat|rt|rtr|cbt|ptt|agent|oas|imt|ffct|wt)-(?=[A-Za-z_-]{{0,40}}[0-9])"
            r"[A-Za-z0-9_-]{16,}(?:\.[0-9a-z]{2,9}){0,2}"
        ),
    ),
    ("gitlab", ("GR1348941",), rf"GR1348941{_WORD}{{16,}}"),
    # With the secret behind it, as in the CSV file that the console offers.
    (
        "aws",
        ("AKIA", "ASIA", "ABIA", "ACCA"),
        (
            rf"{_B}A(?:KIA|SIA|BIA|CCA)[0-9A-Z]{{16}}(?![0-9A-Za-z])"
            r"(?:[ \t]{0,4}[,:;|/][ \t]{0,4}[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=]))?"
        ),
    ),
    ("aws", ("ABSK",), rf"{_B}ABSK[A-Za-z0-9+/]{{100,}}={{0,2}}"),
    ("google", ("AIza",), rf"{_B}AIza{_WORD}{{30,}}"),
    ("google", ("GOCSPX-",), rf"GOCSPX-{_WORD}{{20,}}"),
    ("google", ("ya29.",), rf"{_B}ya29\.(?:[a-z]\.)?{_WORD}{{20,}}"),
    (
        "google",
        ("private_key_id",),
        r"(?P<keep>private_key_id\\{0,3}[\"']?[ \t]{0,4}[:=][ \t]{0,4}\\{0,3}[\"']?)[0-9a-f]{40}",
    ),
    ("google", ("1//",), rf"{_B}1//0{_WORD}{{30,}}"),
    ("stripe", ("k_live_", "k_test_", "k_prod_"), r"[rs]k_(?:live|test|prod)_[A-Za-z0-9]{10,}"),
    ("stripe", ("whsec_",), r"whsec_[A-Za-z0-9+/]{16,}={0,2}"),
    ("npm", ("npm_",), rf"{_B}npm_[A-Za-z0-9]{{36,}}"),
    ("pypi", ("pypi-Ag",), rf"pypi-Ag{_WORD}{{30,}}"),
    ("huggingface", ("hf_",), rf"{_B}hf_(?![a-z_]+\b)[A-Za-z0-9]{{30,}}"),
    ("huggingface", ("api_org_",), r"api_org_[A-Za-z0-9]{30,}"),
    ("sendgrid", ("SG.",), rf"{_B}SG\.{_WORD}{{16,32}}\.{_WORD}{{16,64}}"),
    (
        "azure",
        ("AccountKey", "AccessKey", "accountkey", "accesskey"),
        r"(?<=[Kk]ey=)[A-Za-z0-9+/%]{40,}={0,2}",
    ),
    ("azure", ("sig=",), r"(?<=[?&;]sig=)[A-Za-z0-9%+/]{30,}={0,2}"),
    (
        "azure",
        ("Q~",),
        rf"{_B}[A-Za-z0-9_~.]{{3}}[0-9]Q~[A-Za-z0-9_~.-]{{31,34}}(?![A-Za-z0-9_~-])",
    ),
    ("azure", ("JQQJ99",), r"[A-Za-z0-9]{30,60}JQQJ99[A-Za-z0-9]{20,40}"),
    ("azure", ("AZDO",), r"[A-Za-z0-9]{60,80}AZDO[A-Za-z0-9]{4}"),
    ("twilio", ("SK",), rf"{_B}SK[0-9a-f]{{32}}(?![0-9A-Za-z])"),
    # A JSON web token with or without its signature, of which a cut may have left nothing.
    (
        "jwt",
        ("eyJ",),
        (
            rf"eyJ{_WORD}{{10,2000}}+\.(?:eyJ{_WORD}{{8,}}+(?:\.{_WORD}*+)?|{_WORD}{{10,}}+\.{_WORD}{{10,}})"
            rf"(?:\.{_WORD}{{10,}}+){{0,2}}"
        ),
    ),
    (
        "webhook",
        ("hooks.slack",),
        (
            rf"(?<=hooks\.slack)(?P<keep>(?:-gov)?\.com{_SLASH}[a-z]{{4,20}}{_SLASH})"
            rf"(?![A-Z0-9]*/[A-Z0-9]*/X{{8}})(?:[A-Za-z0-9_+-]|{_SLASH}){{20,}}"
        ),
    ),
    (
        "webhook",
        ("/api/webhooks/",),
        rf"(?P<keep>discord(?:app)?\.com/api/webhooks/)[0-9]{{15,20}}/{_WORD}{{30,}}",
    ),
    (
        "webhook",
        (".webhook.office.com",),
        r"(?<=\.webhook\.office\.com/)[A-Za-z0-9@/-]{60,}",
    ),
    ("signalbox", ("sbx_", "sbd_"), rf"{_B}sb[xd]_{_WORD}{{40,}}"),
    # Others, by the beginnings that their services chose to make them recognisable.
    ("digitalocean", ("_v1_",), r"do[opr]_v1_[0-9a-f]{40,}"),
    ("databricks", ("dapi",), rf"{_B}dapi[0-9a-f]{{32}}(?:-[0-9])?"),
    ("shopify", ("shp",), rf"{_B}shp(?:at|ca|pa|ss|tka)_[0-9A-Fa-f]{{32}}"),
    ("vault", ("hv",), rf"{_B}hv[bsr]\.{_WORD}{{24,}}"),
    ("terraform", (".atlasv1.",), rf"[A-Za-z0-9]{{10,20}}\.atlasv1\.{_WORD}{{40,}}"),
    ("grafana", ("gl",), rf"{_B}gl(?:c|sa)_[A-Za-z0-9+/_]{{32,}}={{0,2}}"),
    ("atlassian", ("ATATT3", "ATCTT3"), r"AT[AC]TT3[A-Za-z0-9_=-]{40,}"),
    ("postman", ("PMAK-",), r"PMAK-[0-9a-f-]{40,}"),
    ("linear", ("lin_",), r"lin_(?:api|oauth)_[A-Za-z0-9]{30,}"),
    ("notion", ("ntn_",), rf"{_B}ntn_[A-Za-z0-9]{{40,}}"),
    ("figma", ("fig",), rf"{_B}fig[dor]_{_WORD}{{35,}}"),
    ("docker", ("dckr_",), rf"dckr_[po]at_{_WORD}{{20,}}"),
    ("doppler", ("dp.",), rf"{_B}dp\.[a-z]{{2,5}}\.[A-Za-z0-9]{{38,}}"),
    ("dynatrace", ("dt0",), rf"{_B}dt0[a-z][0-9]{{2}}\.[A-Z0-9]{{20,30}}\.[A-Z0-9]{{50,70}}"),
    ("newrelic", ("NR",), rf"{_B}NR(?:AK|JS|II|RA)-[A-Za-z0-9-]{{19,}}"),
    ("sentry", ("sntry",), r"sntry[su]_[A-Za-z0-9+/=_]{40,}"),
    ("square", ("sq0",), rf"sq0(?:atp|csp|idp)-{_WORD}{{22,}}"),
    ("rubygems", ("rubygems_",), r"rubygems_[0-9a-f]{40,}"),
    ("telegram", (":AA",), rf"{_B}[0-9]{{8,10}}:AA{_WORD}{{33}}(?!{_WORD})"),
    ("planetscale", ("pscale_",), r"pscale_(?:tkn|pw|oauth)_[A-Za-z0-9_.-]{30,}"),
    ("supabase", ("sbp_", "sb_secret_"), rf"(?:sbp_[0-9a-f]{{40}}|sb_secret_{_WORD}{{20,}})"),
    ("age", ("AGE-SECRET-KEY-1",), r"AGE-SECRET-KEY-1[A-Z0-9]{50,}"),
    ("xai", ("xai-",), rf"{_B}xai-[A-Za-z0-9]{{40,}}"),
    ("groq", ("gsk_",), rf"{_B}gsk_[A-Za-z0-9]{{40,}}"),
    ("replicate", ("r8_",), rf"{_B}r8_[A-Za-z0-9]{{37,}}"),
    ("perplexity", ("pplx-",), r"pplx-[A-Za-z0-9]{40,}"),
    ("tailscale", ("tskey-",), rf"tskey-[a-z]{{3,10}}-{_WORD}{{15,}}"),
    ("openshift", ("sha256~",), rf"sha256~{_WORD}{{43}}(?!{_WORD})"),
    ("heroku", ("HRKU-",), rf"HRKU-{_WORD}{{36,}}"),
    ("1password", ("ops_eyJ",), r"ops_eyJ[A-Za-z0-9+/_-]{100,}={0,3}"),
    ("mailgun", ("key-",), rf"{_B}key-[0-9a-f]{{32}}(?![0-9A-Za-z])"),
    ("mailchimp", ("-us",), rf"{_B}[0-9a-f]{{32}}-us[0-9]{{1,2}}(?![0-9A-Za-z])"),
    ("airtable", ("pat",), rf"{_B}pat[A-Za-z0-9]{{14}}\.[0-9a-f]{{64}}"),
)


_STORAGE_KEY_CHARS = 86
_STORAGE_KEY_END = re.compile(r"==(?![A-Za-z0-9+/=])")
_STORAGE_KEY_BODY = re.compile(rf"(?<![+/-])[A-Za-z0-9+/]{{{_STORAGE_KEY_CHARS}}}")
_START = re.compile(START)


def _replace(found: re.Match[str]) -> str:
    return (found.groupdict().get("keep") or "") + REDACTED


def _replace_at_start(found: re.Match[str]) -> str:
    return _replace(found) if _START.match(found.string, found.start()) else found[0]


def _redact_format(
    anchors: tuple[str, ...],
    pattern: re.Pattern[str],
    replace: Callable[[re.Match[str]], str],
    text: str,
) -> str:
    for anchor in anchors:
        if anchor in text:
            return pattern.sub(replace, text)
    return text


def _redact_storage_keys(text: str) -> str:
    """Replace 64 bytes in Base64.  A SHA-512 is as long, but has its name in front of it."""
    if "==" not in text:
        return text
    pieces: list[str] = []
    done = 0
    for end in _STORAGE_KEY_END.finditer(text):
        start = end.start() - _STORAGE_KEY_CHARS
        if start < done or not _STORAGE_KEY_BODY.match(text, start, end.start()):
            continue
        if _START.match(text, start):
            pieces += (text[done:start], REDACTED)
            done = end.end()
    return "".join((*pieces, text[done:])) if pieces else text


def _rule(name: str, anchors: tuple[str, ...], pattern: str) -> Rule:
    replace = _replace_at_start if pattern.startswith(_B) else _replace
    compiled = re.compile(pattern.removeprefix(_B))
    return Rule(name=name, apply=partial(_redact_format, anchors, compiled, replace))


FORMAT_RULES = (
    *(_rule(name, anchors, pattern) for name, anchors, pattern in _FORMATS),
    Rule(name="azure", apply=_redact_storage_keys),
)
