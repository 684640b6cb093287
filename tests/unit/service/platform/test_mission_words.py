import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenes.vocabulary import descs
from service.platform.mission_words import cited_items, polarities, subject
from vqc.errors import InvalidValue
from vqc.missions import KeyItem, load_missions, mission_named, missions

GOOD = "{name: 塔灯检查, domain: rru, focus: 塔灯, requirement: 塔灯亮, key_items: [{name: 塔灯}]}"


def test_every_mission_of_the_product_has_key_items():
    assert len(missions()) == 7
    assert all(mission.key_items for mission in missions().values())


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("[", "further.yaml"),
        ("[{name: 塔灯检查}]", "[0].domain"),
        (f"[{GOOD.replace('name: 塔灯}', 'nmae: 塔灯}')}]", "[0].key_items[0].n"),
        (f"[{GOOD.replace('[{name: 塔灯}]', '[]')}]", "[0]"),
        (f"[{GOOD.replace('name: 塔灯}', 'name: 塔灯, positive: [亮], negative: [亮]}')}]", "[0].key_items[0]"),
        (f"[{GOOD.replace('{name: 塔灯}', '{name: 塔灯}, {name: 灯, synonyms: [塔灯]}')}]", "[0]"),
        (f"[{GOOD}, {GOOD}]", "name"),
        (f"[{GOOD.replace('塔灯检查', '挡风板安装检查')}]", "name"),
    ],
)
def test_an_invalid_mission_file_is_rejected_with_file_and_field(tmp_path, text, field):
    path = tmp_path / "further.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(InvalidValue) as caught:
        load_missions(path)
    assert "further.yaml" in str(caught.value)
    assert field in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InvalidValue, match=r"absent\.yaml"):
        load_missions(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("挡风板/华为,显示完整,安装方向正确", (True,)),
        ("机柜空间充足需要安装/这个BBU设备按要求配备了挡风板", (True,)),
        ("机柜空间充足需要安装/这个BBU设备未按要求配备挡风板", (False,)),
        ("这个BBU设备未按要求配备了挡风板", (False,)),
        ("无需安装", (True,)),
        ("无安装方向错误", (True,)),
        ("需要安装", ()),
    ],
)
def test_the_wind_shield_s_tokens(text, expected):
    shield = mission_named("挡风板安装检查").key_items[1]
    assert polarities(shield, text) == expected


@given(
    st.lists(st.sampled_from(["符合要求", "不符合要求", "未拧紧", "，", "图1中"]), max_size=8).map("".join),
)
def test_the_longest_word_is_matched_so_a_violation_is_never_also_met(text):
    item = KeyItem(name="螺丝", positive=("符合要求",), negative=("不符合要求", "未拧紧"))
    violated = text.count("不符合要求") + text.count("未拧紧")
    found = polarities(item, text)
    assert found.count(False) == violated
    assert found.count(True) == text.count("符合要求") - text.count("不符合要求")


def test_the_longest_name_is_cited():
    assert cited_items(mission_named("BBU线缆布放要求"), "BBU端与ODF端光纤插头均符合要求") == {
        "BBU端光纤插头",
        "ODF端光纤插头",
    }


def test_a_plug_or_a_label_whose_text_has_fibre_is_not_a_fibre():
    mission = mission_named("RRU线缆")
    for desc in descs("shifted"):
        assert (subject(mission, desc) == "光纤") is desc.startswith("光纤/")
