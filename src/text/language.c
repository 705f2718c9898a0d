/* Which language is this?  Scripts that one language owns decide at once; within Latin, Cyrillic, Arabic and
 * Hebrew script the function words and special letters of each language vote.  A word or letter that several
 * languages share is split between them, so what is common to all says nothing. */
#include "text/text.h"
#include "text/utf8.h"

#include "base/hash.h"

#include <pthread.h>
#include <stdio.h>
#include <unicode/uchar.h>
#include <unicode/ustring.h>

enum script { LATIN, CYRILLIC, ARABIC, HEBREW, GREEK, HANGUL, KANA, HAN, OTHER_SCRIPT, SCRIPT_COUNT = 24 };

/* Code point ranges, ascending.  `code` is set where one language owns the script. */
static const struct {
    uint32_t first, last;
    enum script script;
    const char *code;
} ranges[] = {
    { 'A', 'Z', LATIN, NULL },
    { 'a', 'z', LATIN, NULL },
    { 0xc0, 0x24f, LATIN, NULL },
    { 0x370, 0x3ff, GREEK, "el" },
    { 0x400, 0x52f, CYRILLIC, NULL },
    { 0x530, 0x58f, OTHER_SCRIPT, "hy" },
    { 0x590, 0x5ff, HEBREW, "he" },
    { 0x600, 0x6ff, ARABIC, NULL },
    { 0x750, 0x77f, ARABIC, NULL },
    { 0x900, 0x97f, OTHER_SCRIPT + 1, "hi" },
    { 0x980, 0x9ff, OTHER_SCRIPT + 2, "bn" },
    { 0xa00, 0xa7f, OTHER_SCRIPT + 3, "pa" },
    { 0xa80, 0xaff, OTHER_SCRIPT + 4, "gu" },
    { 0xb80, 0xbff, OTHER_SCRIPT + 5, "ta" },
    { 0xc00, 0xc7f, OTHER_SCRIPT + 6, "te" },
    { 0xc80, 0xcff, OTHER_SCRIPT + 7, "kn" },
    { 0xd00, 0xd7f, OTHER_SCRIPT + 8, "ml" },
    { 0xe00, 0xe7f, OTHER_SCRIPT + 9, "th" },
    { 0x10a0, 0x10ff, OTHER_SCRIPT + 10, "ka" },
    { 0x1100, 0x11ff, HANGUL, "ko" },
    { 0x1e00, 0x1eff, LATIN, NULL },
    { 0x1f00, 0x1fff, GREEK, "el" },
    { 0x3040, 0x30ff, KANA, "ja" },
    { 0x3400, 0x9fff, HAN, "zh" },
    { 0xac00, 0xd7af, HANGUL, "ko" },
    { 0xf900, 0xfaff, HAN, "zh" },
    { 0x20000, 0x2ffff, HAN, "zh" },
};

/* Function words and letters of one language; to add one: a row.  Words are lower case, in one string. */
static const struct profile {
    char code[3];
    enum script script;
    const char *letters;   // that its neighbours lack
    const char *words;
} profiles[] = {
    { "en", LATIN, "",
      "the of and to in is that for it as was with be by on not he his but at are this have from or had an "
      "they which "
      "one you were all her she there would their we him been has when who will no more if out so what up "
      "its about "
      "than into them can only other some could these may then do any my now such should your also each must "
      "does" },
    { "de", LATIN, "ßäöü",
      "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden "
      "aus er hat "
      "dass sie nach wird bei einer um am sind noch wie einem über einen so zum war haben nur oder aber vor "
      "zur bis "
      "mehr durch man dann da sein kann wenn ich wir ihr" },
    { "fr", LATIN, "éèêàçùœîôû",
      "de la le et les des en un du une que est pour qui dans a par plus pas au sur ne se ce il sont la avec "
      "son aux "
      "ou mais comme elle cette ses été nous vous leur on même être fait ces deux sans tout lui si entre y "
      "je dont "
      "peut c'est qu'il d'un d'une n'est" },
    { "es", LATIN, "ñáéíóú¿¡",
      "de la que el en y a los se del las un por con no una su para es al lo como más o pero sus le ya este "
      "ha sí "
      "porque esta son entre está cuando muy sin sobre ser también me hasta hay donde han quien desde todo "
      "nos fue "
      "durante ninguna otra otro ese esa eso mientras puede pueden cada así les sea solo cualquier" },
    { "it", LATIN, "àèìòùé",
      "di e il la che in a per un è del non una i le da si con dei nel al ha alla come più sono della gli "
      "anche lo ma "
      "delle dal suo nella su questo o ed degli ci alle essere se era stato dalla cui molto tra dopo nell' "
      "dell'" },
    { "pt", LATIN, "ãõçáéíóúâêô",
      "de a o que e do da em um para com não uma os no se na por mais as dos como mas ao ele das à seu sua "
      "ou quando "
      "muito nos já eu também só pelo pela até isso ela entre era depois sem mesmo aos são foi ser está você "
      "tem" },
    { "nl", LATIN, "",
      "de van het een en in is dat op te zijn voor met die niet aan er om ook als dan maar bij of uit nog "
      "worden door "
      "naar heeft tot ze wordt over hij ik je wel deze geen hebben kan zich wat meer zo haar zijn onder moet "
      "toen" },
    { "sv", LATIN, "åäö",
      "och i att det som en på är av för med den till inte om ett han var jag de har vi från kan när men "
      "hade så "
      "eller sig man skulle efter hon också sin bara detta mycket vid ska där nu här alla upp under mot" },
    { "da", LATIN, "æøå",
      "og i at det er en til af på for med den de som ikke der et har jeg var han om vi fra kan men så sig "
      "eller hun "
      "havde skal efter ved blev også nu hvor være meget op bliver denne mod alle være noget hvis vil over" },
    { "no", LATIN, "æøå",
      "og i det er som en på til av at for med den har ikke de et om han var jeg fra vi kan men så seg eller "
      "hun "
      "hadde skal etter ved ble også nå hvor være mye opp blir denne mot alle noe hvis vil over enn" },
    { "fi", LATIN, "äö",
      "ja on ei että se oli mutta hän ovat kun niin myös joka tai kuin sen mukaan ole jo nyt olla vain "
      "kanssa mitä sekä "
      "jos voi hänen vielä jotka tämä ollut sitä tämän eivät mikä siitä koska kuitenkin" },
    { "pl", LATIN, "ąćęłńóśźż",
      "w i na z się do nie że to jest o jak za po a od co dla przez tym był przy oraz ale ich jego tego tak "
      "są już może "
      "być także lub tylko który które która gdy czy było więc jej ma jako można sobie nawet" },
    { "cs", LATIN, "ěščřžýáíéůúďťň",
      "a v se na je že o s z do i to k ve pro za by ale si po jako podle od jsou které který tak jeho však "
      "bude nebo už "
      "jen byl jsem při jak ani také kde až jeho před která být není pouze však mezi může" },
    { "sk", LATIN, "ľĺŕôáäéíóúýčďňšťž",
      "a v sa na je že o s z do i to k vo pre za by ale si po ako podľa od sú ktoré ktorý tak jeho však bude "
      "alebo už "
      "len bol som pri ani aj kde až pred ktorá byť nie iba medzi môže" },
    { "hu", LATIN, "őűáéíóöúü",
      "a az és hogy nem is egy ez meg volt csak már de mint el még ha vagy azt lesz ki van sem ezt amely "
      "olyan majd "
      "után kell minden aki pedig lehet között úgy itt mert" },
    { "ro", LATIN, "ăâîșțşţ",
      "de și în a la cu că nu o pe din care să un pentru mai este se ce sunt au prin fi lui sau dar după cum "
      "fost "
      "acest această ca al ale iar fără între sale" },
    { "tr", LATIN, "ğışçöü",
      "ve bir bu da de için ile çok daha olarak o en gibi ne kadar olan sonra ama var her değil mi ya veya "
      "ki ise hem "
      "kendi bunu şey oldu diye benim ben nasıl yok iki göre olduğu tarafından ancak" },
    { "id", LATIN, "",
      "yang dan di dengan untuk ini dari dalam itu pada tidak ke akan adalah oleh sebagai juga atau ada "
      "mereka telah "
      "dapat bisa saya kami kita lebih tersebut karena seperti sudah" },
    { "vi", LATIN, "ăâđêôơưạảấầẩậắằặẹẻẽếềểệỉịọỏốồổộớờởợụủứừửựỳỹ",
      "và của là có được trong cho không một với các người những này để khi đã như từ đến về tôi ra cũng "
      "nhiều trên "
      "sẽ nhưng" },
    { "ru", CYRILLIC, "ыэёъ",
      "и в не на что с по как а к у это из его от за для но он так то было мы же бы или о все только они при "
      "до если "
      "её был ещё когда уже вы чтобы даже может были более также этого которые который" },
    { "uk", CYRILLIC, "іїєґ",
      "і в не на що з та до у як за це від по його для але він так або було ми вони при із про через який "
      "яка які "
      "щоб також може був були коли після ще більше її все бути цього" },
    { "bg", CYRILLIC, "ъщ",
      "и на в не да се за от е с че по са като до ще но си това или във който която които при след няма бъде "
      "има този "
      "тази само още със беше през към още както" },
    { "ar", ARABIC, "ةىأإ",
      "في من على إلى أن عن التي الذي هذا هذه ما لا مع كان هو أو كل قد لم بين بعد كما هي ذلك كانت قبل ولا حيث "
      "عند غير أنه "
      "تم حتى إذا ثم أي" },
    { "fa", ARABIC, "پچژگیک",
      "و در به از که این را با است برای آن یک خود تا بر شد هم کرد یا شده می او ما نیز شود اما کند دیگر باید "
      "هر ها "
      "بود" },
    { "ur", ARABIC, "ٹڈڑےہںھ",
      "کے کی میں ہے اور سے کا کو نے پر اس یہ ہیں کہ نہیں بھی تھا ایک وہ کر ہو گیا کیا لیے تو ان تھی جو ہی" },
};

enum {
    PROFILE_COUNT = sizeof profiles / sizeof *profiles,
    WORD_BYTES_MAX = 32,
    TABLE_SIZE = 4096,
    LETTERS_MIN = 20,             // of the leading script; CJK characters count threefold
    TEXT_BYTES_MAX = 256 << 10,   // more text does not change the answer
};

/* Word or letter (its UTF-8) -> the profiles that have it.  Built once, read-only afterwards. */
static struct {
    uint64_t hash;
    uint32_t letters, words;   // bit i: profile i
} table[TABLE_SIZE];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static size_t slot_of(uint64_t hash)
{
    size_t i = hash % TABLE_SIZE;
    while (table[i].hash != 0 && table[i].hash != hash)
        i = (i + 1) % TABLE_SIZE;
    return i;
}

static void build_table(void)
{
    for (size_t p = 0; p < PROFILE_COUNT; p++) {
        struct lm_str rest = lm_str(profiles[p].words), word;
        while (lm_str_split(&rest, ' ', &word)) {
            const size_t i = slot_of(lm_hash64(word.ptr, word.len));
            table[i].hash = lm_hash64(word.ptr, word.len);
            table[i].words |= 1u << p;
        }
        const struct lm_str letters = lm_str(profiles[p].letters);
        uint32_t cp;
        for (size_t at = 0, used; at < letters.len; at += used) {
            used = lm_utf8_next(letters, at, &cp);
            const size_t i = slot_of(lm_hash64(letters.ptr + at, used));
            table[i].hash = lm_hash64(letters.ptr + at, used);
            table[i].letters |= 1u << p;
        }
    }
}

/* Index in ranges, -1 for what is no letter of a known script. */
static int range_of(uint32_t cp)
{
    if (cp == 0xd7 || cp == 0xf7)
        return -1;
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges && ranges[i].first <= cp; i++)
        if (cp <= ranges[i].last)
            return (int)i;
    return -1;
}

struct votes {
    double of[PROFILE_COUNT];
    double words;
    size_t script_letters[SCRIPT_COUNT];
    const char *script_code[SCRIPT_COUNT];
};

/* One vote, split among the profiles of the set. */
static void vote(struct votes *v, uint32_t set, double weight)
{
    if (set == 0)
        return;
    const double share = weight / __builtin_popcount(set);
    for (; set; set &= set - 1)
        v->of[__builtin_ctz(set)] += share;
}

static void vote_word(struct votes *v, const char *word, size_t len, uint32_t letters)
{
    v->words++;
    uint32_t set = 0;
    if (len < WORD_BYTES_MAX)
        set = table[slot_of(lm_hash64(word, len))].words;
    vote(v, set, 1);
    if (set == 0)
        vote(v, letters, 0.5);
}

static uint32_t lower_of(uint32_t cp)
{
    return cp < 0x80 ? (uint32_t)lm_to_lower((char)cp) : (uint32_t)u_tolower((UChar32)cp);
}

static void count(struct lm_str text, struct votes *v)
{
    char word[WORD_BYTES_MAX + 4];
    size_t len = 0;
    uint32_t letters = 0;
    for (size_t at = 0; at < text.len;) {
        uint32_t cp;
        at += lm_utf8_next(text, at, &cp);
        const int r = range_of(cp);
        if (r >= 0) {
            v->script_letters[ranges[r].script]++;
            v->script_code[ranges[r].script] = ranges[r].code;
        }
        /* An apostrophe inside a word stays: "c'est"; U+2019 is the same. */
        const bool inner = len > 0 && (cp == '\'' || cp == 0x2019);
        if (r >= 0 || inner) {
            char bytes[4];
            const size_t n = lm_utf8_put(inner ? '\'' : lower_of(cp), bytes);
            if (cp >= 0x80 && !inner)
                letters |= table[slot_of(lm_hash64(bytes, n))].letters;
            for (size_t i = 0; i < n && len < WORD_BYTES_MAX; i++)
                word[len++] = bytes[i];
        }
        if (len > 0 && ((r < 0 && !inner) || at == text.len)) {
            vote_word(v, word, len, letters);
            len = 0;
            letters = 0;
        }
    }
}

static struct lm_language answer(const char *code, double confidence)
{
    struct lm_language ret = { .confidence = confidence };
    snprintf(ret.code, sizeof ret.code, "%s", code);
    return ret;
}

static const struct lm_language unknown = { "und", 0 };

static struct lm_language by_votes(const struct votes *v, enum script script, double script_share)
{
    size_t best = PROFILE_COUNT, second = PROFILE_COUNT;
    for (size_t p = 0; p < PROFILE_COUNT; p++) {
        if (profiles[p].script != script)
            continue;
        if (best == PROFILE_COUNT || v->of[p] > v->of[best]) {
            second = best;
            best = p;
        } else if (second == PROFILE_COUNT || v->of[p] > v->of[second]) {
            second = p;
        }
    }
    const double hits = v->of[best];
    if (hits < 2 || hits < 0.04 * v->words)   // too little to go by, or the words are those of no profile
        return unknown;
    const double lead = hits / (hits + v->of[second]);
    return answer(profiles[best].code, script_share * lead * hits / (hits + 1));
}

struct lm_language lm_language_identify(struct lm_str text)
{
    pthread_once(&table_once, build_table);
    if (text.len > TEXT_BYTES_MAX)
        text.len = TEXT_BYTES_MAX;
    struct votes v = { 0 };
    count(text, &v);

    /* Japanese is kana among Han; a CJK character carries about as much as three letters. */
    if (v.script_letters[KANA] * 10 >= v.script_letters[HAN]) {
        v.script_letters[KANA] += v.script_letters[KANA] ? v.script_letters[HAN] : 0;
        v.script_letters[HAN] = v.script_letters[KANA] ? 0 : v.script_letters[HAN];
    }
    static const enum script dense[] = { KANA, HAN, HANGUL };
    for (size_t i = 0; i < sizeof dense / sizeof *dense; i++)
        v.script_letters[dense[i]] *= 3;
    size_t total = 0, best = 0;
    for (size_t s = 0; s < SCRIPT_COUNT; s++) {
        total += v.script_letters[s];
        if (v.script_letters[s] > v.script_letters[best])
            best = s;
    }
    if (v.script_letters[best] < LETTERS_MIN)
        return unknown;
    const double share = (double)v.script_letters[best] / (double)total;
    if (v.script_code[best])
        return answer(v.script_code[best], share);
    return by_votes(&v, (enum script)best, share);
}
