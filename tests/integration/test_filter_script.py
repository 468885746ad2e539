"""The filter language in Lua gives the same results as in Python, for any terms and texts."""

from __future__ import annotations

from importlib.resources import files

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from previewops.queue.filter_query import FILTER_FIELDS, FilterQuery, FilterTerm
from tests.redis_server import RedisProcess

pytestmark = pytest.mark.redis

TEXT = files("previewops.queue.lua").joinpath("include", "filter_match.lua").read_text("utf-8")
# ARGV: number of fields, then name and value of each, then the filter.
SCRIPT = (
    TEXT
    + """
local fields, count = {}, tonumber(ARGV[1])
for i = 1, count do
  fields[ARGV[2 * i]] = ARGV[2 * i + 1]
end
return filter_matcher(ARGV, 2 * count + 2)(fields) and 1 or 0
"""
)

texts = st.text(st.sampled_from("aAbéÉ%.[( !\0"), max_size=4) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=6
)
safe_texts = texts.map(lambda text: text.replace("\0", ""))
fields_of_terms = st.sampled_from(FILTER_FIELDS)
terms = st.builds(FilterTerm, safe_texts, st.none() | fields_of_terms, st.booleans()) | st.builds(
    FilterTerm, safe_texts, fields_of_terms, st.booleans(), st.just(True)
)
filters = st.builds(FilterQuery, st.lists(terms, max_size=3).map(tuple), st.booleans())


@given(query=filters, fields=st.dictionaries(st.sampled_from(FILTER_FIELDS), texts, max_size=4))
@settings(max_examples=400)
def test_lua_and_python_filters_agree(
    redis_server: RedisProcess, query: FilterQuery, fields: dict[str, str]
) -> None:
    with redis.Redis.from_url(redis_server.url) as client:
        named = [part for pair in fields.items() for part in pair]
        reply = client.eval(SCRIPT, 0, len(fields), *named, *query.script_arguments())
    assert bool(reply) is query.matches(fields)
