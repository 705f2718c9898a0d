#include "check.h"

static void assert_language(const char *text, const char *want)
{
    const struct lm_language got = lm_language_identify(lm_str(text));
    if (strcmp(got.code, want) != 0)
        fail_msg("'%s' is taken for %s (%.2f), not %s", text, got.code, got.confidence, want);
    assert_true(got.confidence >= 0 && got.confidence <= 1);
}

static void two_sentences_are_enough(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "en", "The table is locked while it is being read, and no other session can write to it. This is "
                "the default." },
        { "de",
          "Die Tabelle ist gesperrt, während sie gelesen wird, und keine andere Sitzung kann sie ändern." },
        { "fr", "La table est verrouillée pendant la lecture, et aucune autre session ne peut la modifier "
                "dans ce cas." },
        { "es",
          "La tabla está bloqueada mientras se lee, y ninguna otra sesión puede modificarla en ese caso." },
        { "it", "La tabella è bloccata mentre viene letta, e nessuna altra sessione può modificarla in "
                "questo caso." },
        { "pt", "A tabela está bloqueada enquanto é lida, e nenhuma outra sessão pode modificá-la nesse "
                "caso, não é." },
        { "nl", "De tabel is vergrendeld terwijl ze wordt gelezen, en geen andere sessie kan het dan nog "
                "wijzigen." },
        { "sv", "Tabellen är låst medan den läses, och ingen annan session kan skriva till den under tiden "
                "som det pågår." },
        { "da", "Tabellen er låst, mens den bliver læst, og ingen anden kan skrive til den, før det er "
                "færdigt af sig selv." },
        { "pl", "Tabela jest zablokowana podczas odczytu i żadna inna sesja nie może jej zmienić, chyba że "
                "się to skończy." },
        { "cs",
          "Tabulka je při čtení uzamčena a žádná jiná relace ji nemůže změnit, pokud se to nedokončí." },
        { "tr", "Tablo okunurken kilitlidir ve başka bir oturum onu değiştiremez, çünkü bu daha güvenli bir "
                "yoldur." },
        { "ru", "Таблица заблокирована, пока её читают, и никакой другой сеанс не может её изменить." },
        { "uk", "Таблиця заблокована, поки її читають, і жоден інший сеанс не може її змінити." },
        { "ar", "يتم قفل الجدول أثناء القراءة ولا يمكن لأي جلسة أخرى تغييره في هذه الحالة على الإطلاق" },
        { "zh", "读取表时表被锁定，其他会话不能修改它。这是默认行为，可以更改。" },
        { "ja", "テーブルは読み取り中にロックされ、他のセッションは変更できません。" },
        { "ko", "테이블은 읽는 동안 잠기며 다른 세션은 이를 수정할 수 없습니다." },
        { "el", "Ο πίνακας είναι κλειδωμένος ενώ διαβάζεται." },
        { "he", "הטבלה נעולה בזמן שהיא נקראת ואף אחד לא יכול לשנות אותה" },
        { "hi", "तालिका पढ़ते समय लॉक रहती है और कोई अन्य सत्र इसे बदल नहीं सकता।" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_language(cases[i][1], cases[i][0]);
}

static void little_or_no_prose_is_undecided(void **state)
{
    (void)state;
    assert_language("", "und");
    assert_language("OK", "und");
    assert_language("12345 67890 --- 3.14", "und");
    assert_language("x = foo(bar, baz); ptr->next = NULL; memcpy(dst, src, len);", "und");
}

static void documentation_full_of_code_keeps_its_language(void **state)
{
    (void)state;
    assert_language(
        "The following creates a table and fills it:\n```\nCREATE TABLE t (a int, b text);\nINSERT INTO t "
        "VALUES (1, 'x'), (2, 'y');\nSELECT a, b FROM t WHERE a > 1;\n```\nNote that the order of the rows "
        "is not defined, so it may be different each time.",
        "en");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_sentences_are_enough),
        cmocka_unit_test(little_or_no_prose_is_undecided),
        cmocka_unit_test(documentation_full_of_code_keeps_its_language),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
