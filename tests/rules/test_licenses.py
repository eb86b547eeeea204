from __future__ import annotations

import pytest

from proxy.rules.licenses import License, LicenseRule, canonical_of, license_of


@pytest.mark.parametrize(
    ("metadata", "expressions"),
    [
        (b"License-Expression: mit\n\nbody", ("MIT",)),
        (
            b"License-Expression: MIT or (apache-2.0 and BSD-2-Clause)\r\n\r\n",
            ("MIT OR (Apache-2.0 AND BSD-2-Clause)",),
        ),
        (b"License-Expression: nonsense!\nLicense: MIT\n\n", ()),
        (b"License-Expression: MIT\nLicense-Expression: GPL-3.0-only\n\n", ()),
        (b"License: Apache-2.0\nClassifier: License :: OSI Approved :: MIT License\n\n", ("Apache-2.0",)),
        (b"License: Apache License, Version 2.0\n\n", ("Apache-2.0",)),
        (b"License: see LICENSE\nClassifier: License :: OSI Approved :: MIT License\n\n", ("MIT",)),
        (b"License: " + b"x" * 400 + b"\nClassifier: License :: OSI Approved :: ISC License (ISCL)\n\n", ("ISC",)),
        (b"Classifier: License :: OSI Approved :: BSD License\n\n", ("BSD-2-Clause", "BSD-3-Clause")),
        (b"Classifier: License :: OSI Approved\nClassifier: License :: OSI Approved :: MIT License\n\n", ("MIT",)),
        (b"Classifier: License :: OSI Approved\n\n", ()),
        (b"Classifier: License :: Freeware\nClassifier: License :: OSI Approved :: MIT License\n\n", ()),
        (b"Classifier: Topic :: Games\n\nLicense: MIT", ()),
        (b"", ()),
    ],
)
def test_a_license_is_read_from_the_best_that_is_said(metadata: bytes, expressions: tuple[str, ...]) -> None:
    assert license_of(metadata).expressions == expressions


@pytest.mark.parametrize(
    ("expression", "rule", "is_permitted"),
    [
        ("MIT", LicenseRule(allow=("MIT",)), True),
        ("MIT", LicenseRule(allow=("mit",)), True),
        ("GPL-3.0-only", LicenseRule(allow=("MIT",)), False),
        ("GPL-3.0-only", LicenseRule(deny=("GPL-*",)), False),
        ("LGPL-3.0-only", LicenseRule(deny=("GPL-*",)), True),
        ("MIT OR GPL-3.0-only", LicenseRule(deny=("GPL-*",)), True),
        ("MIT AND GPL-3.0-only", LicenseRule(deny=("GPL-*",)), False),
        ("MIT AND (GPL-3.0-only OR Apache-2.0)", LicenseRule(deny=("GPL-*",)), True),
        ("(MIT AND GPL-3.0-only) OR (Apache-2.0 AND GPL-2.0-only)", LicenseRule(deny=("GPL-*",)), False),
        ("GPL-3.0-only OR MIT AND ISC", LicenseRule(allow=("MIT", "ISC")), True),
        ("GPL-3.0-only OR MIT AND ISC", LicenseRule(allow=("MIT",)), False),
        ("GPL-2.0-only WITH Classpath-exception-2.0", LicenseRule(deny=("GPL-2.0-only",)), False),
        ("GPL-2.0-only WITH Classpath-exception-2.0", LicenseRule(allow=("GPL-2.0-only WITH *",)), True),
        ("GPL-2.0-only", LicenseRule(allow=("GPL-2.0-only WITH *",)), False),
        ("Apache-2.0+", LicenseRule(allow=("Apache-2.0",)), True),
        ("MIT", LicenseRule(allow=("MIT",), deny=("MIT",)), False),
    ],
)
def test_an_expression_is_permitted_where_a_permitted_choice_can_be_made(
    expression: str, rule: LicenseRule, is_permitted: bool
) -> None:
    canonical = canonical_of(expression)
    assert canonical is not None

    assert (rule.objection(License(expression, (canonical,))) is None) is is_permitted


def test_a_classifier_that_may_mean_several_is_permitted_where_each_of_them_is() -> None:
    bsd = license_of(b"Classifier: License :: OSI Approved :: BSD License\n\n")

    assert LicenseRule(allow=("BSD-2-Clause", "BSD-3-Clause")).objection(bsd) is None
    assert LicenseRule(allow=("BSD-3-Clause",)).objection(bsd) == (
        "its license is BSD License (BSD-2-Clause), and that is not on the list of what is allowed"
    )


def test_what_is_not_known_is_hidden_unless_it_is_said_otherwise() -> None:
    strict, lenient = LicenseRule(deny=("GPL-*",)), LicenseRule(deny=("GPL-*",), hide_unknown=False)

    assert strict.objection(None) == "its license is not known here"
    assert strict.objection(License()) == "it names no license"
    assert strict.objection(License("home-made")) == "its license is not understood ('home-made')"
    assert lenient.objection(None) is lenient.objection(License("home-made")) is None
    assert strict.objection(License("GPL-3.0-only", ("GPL-3.0-only",))) == (
        "its license is GPL-3.0-only, and GPL-3.0-only is denied"
    )


def test_what_is_kept_of_a_license_is_short_whatever_was_said() -> None:
    """It stands in the reason of every file that is hidden for it, and thousands of them are kept in memory."""
    expression = license_of(b"License-Expression: " + b"MIT OR " * 10_000 + b"MIT\n\n")
    classifiers = license_of(b"Classifier: License :: OSI Approved :: MIT License\n" * 5_000 + b"\n")

    assert expression.expressions == ()
    assert len(expression.said) <= 1000
    assert classifiers.expressions == ("MIT",)
    assert len(classifiers.said) <= 1000
