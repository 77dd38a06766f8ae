from __future__ import annotations

import pytest

import raphson as rp
from raphson import datasets
from raphson.errors import DataError


def test_births_are_those_of_the_book() -> None:
    # Hosmer and Lemeshow (1989), section 1.6.2: 59 of 189 babies weighed less than 2.5 kg.
    births = datasets.load("births")
    assert len(births) == 189
    assert births["low"].sum() == 59
    assert births["race"].value_counts().to_dict() == {"white": 96, "other": 67, "black": 26}
    assert not births.isna().any().any()


def test_beetles_are_those_of_the_literature() -> None:
    # Dobson, An Introduction to Generalized Linear Models, section 7.3.1: deviance 11.23, estimates -60.72 and 34.27.
    fit = rp.glm("killed ~ log_dose", datasets.load("beetles"), family="binomial", trials="exposed")
    assert fit.params.round(2).tolist() == [-60.72, 34.27] and round(fit.deviance, 2) == 11.23


def test_horsekicks_are_those_of_the_literature() -> None:
    # von Bortkiewicz: 196 deaths; in 144 years of a corps none, in 91 one, and so on.
    kicks = datasets.load("horsekicks")
    assert kicks["deaths"].value_counts().sort_index().tolist() == [144, 91, 32, 11, 2]
    by_year = [3, 5, 7, 9, 10, 18, 6, 14, 11, 9, 5, 11, 15, 6, 11, 17, 12, 15, 8, 4]
    assert kicks.groupby("year")["deaths"].sum().tolist() == by_year
    assert kicks.groupby("corps")["deaths"].sum().loc[["G", "XI", "XIV", "VIII"]].tolist() == [16, 25, 24, 7]


def test_puromycin_is_that_of_the_literature() -> None:
    # Bates and Watts, section 2.2.2: 212.7 and 0.06412 with a residual sum of squares of 1195.
    data = datasets.load("puromycin").query("state == 'treated'")
    fit = rp.nls("rate ~ top*conc/(half + conc)", data)
    assert fit.params.round(5).tolist() == [212.68374, 0.06412] and round(fit.rss) == 1195
    assert len(datasets.load("puromycin")) == 23


def test_remissions_are_those_of_the_literature() -> None:
    # Cox and Oakes, Analysis of Survival Data, table 1.1: 9 relapses in 359 weeks, 21 in 182.
    found = datasets.load("remissions").groupby("treatment")[["relapsed", "weeks"]].sum()
    assert found.loc["6-MP"].tolist() == [9, 359] and found.loc["placebo"].tolist() == [21, 182]
    fit = rp.mle("weibull", "weeks ~ treatment", datasets.load("remissions"), columns={"event": "relapsed"})
    assert round(fit.llf, 2) == -106.58  # R: survreg(Surv(time, cens) ~ treat, gehan) of MASS


def test_teeth_are_those_of_the_literature() -> None:
    # Pinheiro and Bates, Mixed-Effects Models in S and S-PLUS, section 4.2: by REML the log-likelihood is -221.32, and
    # the standard deviations are 2.327, 0.226 and 1.310.
    fit = rp.glm("distance ~ age + (age | child)", datasets.load("teeth"), criterion="reml")
    assert round(fit.llf, 2) == -221.32 and fit.params.round(2).tolist() == [16.76, 0.66]
    assert fit.variances.query("kind == 'sd'")["estimate"].round(3).tolist() == [2.327, 0.226, 1.310]


def test_ozone_is_that_of_the_literature() -> None:
    # R: lm(Ozone ~ Solar.R + Wind + Temp, airquality), of 111 complete rows.
    fit = rp.glm("ozone ~ solar + wind + temp", datasets.load("ozone"))
    assert fit.params.round(4).tolist() == [-64.3421, 0.0598, -3.3336, 1.6521]
    assert round(fit.dispersion**0.5, 2) == 21.18


def test_the_list_tells_of_every_data_set() -> None:
    table = datasets.list()
    assert table.index.tolist() == datasets.names() == sorted(datasets.ABOUT)
    assert list(table.columns) == ["rows", "columns", "what_for", "source", "licence"]
    for name, one in table.iterrows():
        frame = datasets.load(str(name))
        assert one["rows"] == len(frame) and one["columns"].split(", ") == list(frame.columns)
        assert not frame.isna().any().any()
        # Each is described where its columns are explained.
        assert f"``{name}``" in datasets.__doc__ and all(f"``{column}``" in datasets.__doc__ for column in frame)


@pytest.mark.parametrize("name", ["deaths", "../errors", ""])
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="births"):
        datasets.path(name)
