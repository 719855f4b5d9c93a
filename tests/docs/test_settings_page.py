from worker import settings_page


def test_docs_settings_is_what_the_code_says():
    written = (settings_page.ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert written == settings_page.markdown(), "run: python -m worker.settings_page"


def test_env_example_is_what_the_code_says():
    written = (settings_page.ROOT / ".env.example").read_text(encoding="utf-8")
    assert written == settings_page.env_example(), "run: python -m worker.settings_page"
