import pytest

pytest.register_assert_rewrite("tests.support")  # an assertion there that fails shows its values
