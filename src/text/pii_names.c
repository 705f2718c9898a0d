/* Given names, in one hash table.  The lists hold common names of many cultures in the spelling they have in
 * English text; surnames are not listed, they are what follows. */
#include "text/pii_find.h"
#include "text/utf8.h"

#include "base/hash.h"

#include <stdlib.h>

/* Names that are hardly anything else. */
static const char clear_names[] =
    "aaron alistair abdul abdullah abigail abraham adam adele adrian adriana agnes agnieszka ahmad ahmed "
    "aisha akira "
    "alan "
    "alana albert alberto alejandra alejandro alessandra alessandro alexander alexandra alexandre alexei "
    "alexis "
    "alfred alfredo ali alice alicia alina alison allison alma alvaro alyssa amanda amelia amina amir amit "
    "amy ana "
    "anastasia anders andrea andreas andreea andrei andres andrew andrzej andy aneta angela angelica ann "
    "annika "
    "angelina anita "
    "anja ankita anna annabelle anne anneliese annette annie anthony antoine anton antonia antonio anya "
    "arjun armando "
    "arnold arthur arturo arun ashley astrid audrey aurora ayesha barbara bartosz beata beatrice beatriz ben "
    "benedict "
    "benjamin bernadette bernard bernhard bertha beth bethany betty beverly bianca birgit bjorn bogdan boris "
    "brandon "
    "brenda brendan brian bridget britney brittany bruce bruno bryan caitlin callum camila camille carl "
    "carla carlo "
    "carlos carmen carol carole caroline carolyn carrie cassandra caterina catherine cathy cecilia cedric "
    "celine "
    "chandra charlene charles charlie charlotte chen cheryl chiara chloe chris christa christiane christina "
    "christine "
    "christoph christophe christopher cindy claire clara clarence claudia claudio claus clement colin "
    "colleen connor "
    "conrad constance corinne cornelia craig cristian cristina curtis cynthia cyril dagmar damian damien dan "
    "dana "
    "daniel daniela daniele danielle danny daphne darius darlene darren daryl dave david deborah debra "
    "deepak "
    "deirdre denis denise dennis derek derrick diana diane didier diego dieter dimitri dirk dmitri dmitry "
    "dolores "
    "dominic dominik dominique donald donna doris dorothy douglas duncan dylan ebony eddie edgar edith "
    "edmund "
    "eduardo edward edwin eileen elaine eleanor elena eleni elias elijah elisa elisabeth eliza elizabeth "
    "ella ellen "
    "elliot eloise elsa emil emilia emilie emilio emily emma emmanuel enrico enrique eric erica erich erik "
    "erika "
    "erin ernest ernesto esteban estelle esther ethan eugene eugenia eva evan evelyn fabian fabio fabrice "
    "fatima "
    "federico felicity felipe fernanda fernando fiona florian frances francesca francesco francine francisco "
    "francois frankie franz fred freda frederic frederick frederik friedrich fritz gabriel gabriela gabriele "
    "gabrielle gareth gary geoffrey georg george georges gerald geraldine gerard gerd gerhard gertrude "
    "giacomo "
    "gianluca gilbert gillian gina giorgio giovanni giulia giuseppe gladys glenn gloria gonzalo gordon "
    "graham "
    "greg gregory greta guido guillaume gunter gustavo guillermo gwendolyn hana hanna hannah hans harald "
    "hari "
    "harold harriet harry harvey hassan heather hector heidi heike heinrich heinz helen helena helene helga "
    "helmut hendrik henri henrik henry herbert herman hermann hilary hilda hiroshi holger howard hubert hugh "
    "hugo hussein ian ibrahim ida ignacio igor ilona ilse imran ines inga inge ingrid irena irene irina iris "
    "irma isaac isabel isabella isabelle ismail ivan ivana ivo jacek jackie jacob jacqueline jacques jaime "
    "jakob "
    "jakub jamal james jamie jana jane janet janice janina jasmine jason javier jayden jean jeanette jeanne "
    "jeff "
    "jeffrey jelena jennifer jenny jens jeremy jerome jerry jesse jessica jesus jill jim jimmy joachim joan "
    "joanna "
    "joanne joao joaquin jochen jodie joe joel johan johann johanna johannes john johnny jolanta jon jonas "
    "jonathan "
    "jorge jose josef josefina joseph josephine josh joshua joyce juan juana judith judy julia julian "
    "juliana julie "
    "julien juliet juliette julio julius jurgen justin justine justyna kamal karen karim karin karina karl "
    "karla "
    "karsten katarina katarzyna kate katharina katherine kathleen kathryn kathy katie katja katrin kayla "
    "keith "
    "kelly kelsey ken kenji kenneth kerry kerstin kevin khalid kim kimberly kirsten klaus konrad konstantin "
    "krishna "
    "kristen kristian kristin kristina kristine krystyna krzysztof kumar kurt kyle laila lars larry laszlo "
    "laura "
    "laurence laurent lauren laurie layla lea leah leila lena leo leon leonard leonardo leonie leroy leslie "
    "leticia "
    "lewis li liam lidia lillian lily linda lindsay lisa lloyd logan lorena lorenzo loretta lorraine lothar "
    "louis "
    "louisa louise luc luca lucas lucia luciano lucie lucille lucinda lucy ludwig luigi luis luisa lukas "
    "luke luther "
    "lydia lynn magda magdalena mahmoud maja malcolm malgorzata mandy manfred manuel manuela marc marcel "
    "marcela "
    "marcelo marcia marcin marco marcos marcus margaret margarita margot maria mariam marian mariana "
    "marianne marie "
    "mariko marina mario marion marisa marissa marjorie markus marlene marsha marta martha martin martina "
    "martine "
    "marvin mary maryam mateo mateusz mathias mathieu mathilde matt matteo matthew matthias maureen maurice "
    "mauricio "
    "maxim maxime maximilian megan mehmet mei melanie melinda melissa mercedes meredith mia michael michaela "
    "michal "
    "michel michele michelle miguel mikael mikhail milan mildred milena miranda mireille miriam mohamed "
    "mohammad "
    "mohammed moira molly mona monica monika monique morgan moritz moses muhammad murray mustafa nadia "
    "nadine nancy "
    "naomi natalia natalie natasha nathalie nathan nathaniel neil nelson nicholas nick nico nicola nicolas "
    "nicole "
    "niels nigel niklas nikolai nikita nikolaos nina nisha noah noel nora norbert noreen norma norman "
    "octavia olaf "
    "oleg olena olga oliver olivia olivier omar oscar oskar otto owen pablo paloma pamela paola paolo pascal "
    "patrice "
    "patricia patricio patrick patrizia patty paul paula paulina pauline paulo pavel pawel pedro peggy "
    "penelope per "
    "percy peter petra phil philip philipp philippe phillip phoebe pierre pilar piotr polly priya prakash "
    "quentin "
    "rachel rafael rahul raj rajesh ralf ralph ramon randall raphael raquel rashid raul raymond rebecca "
    "regina "
    "reginald reinhard renata renate rene ricardo richard rick ricky rita robert roberta roberto robin rocio "
    "roderick "
    "rodney rodrigo roger roland rolf roman ron ronald rosa rosalind rosemary rosie ross roxanne roy ruben "
    "rudolf "
    "rudolph rupert russell ruth ryan sabine sabrina sally salvador salvatore samantha sami samir samuel "
    "sandra "
    "sanjay santiago sara sarah sascha satoshi saul scott sean sebastian selena selma serena serge sergei "
    "sergey "
    "sergio shane shannon sharon shaun shawn sheila shelley sherry shirley sigrid silke silvia simon simona "
    "simone "
    "sina sofia solomon sonia sonja sophia sophie stacey stacy stan stanislav stanley stefan stefania "
    "stefanie "
    "stefano steffen stella stephan stephanie stephen steve steven stewart stuart sunil susan susanna "
    "susanne suzanne "
    "sven svetlana sylvia sylvie takeshi tamara tammy tania tanja tanya tara tatiana ted teresa terence "
    "terrence "
    "tessa thelma theo theodore theresa therese thierry thomas thorsten tiffany tim timothy tina tobias todd "
    "tom "
    "tomas tomasz tommy toni tony torsten tracey tracy travis trevor tristan tyler ulrich ulrike ursula ute "
    "uwe "
    "vadim valentin valentina valeria valerie vanessa vasily vera veronica veronika veronique vicki vicky "
    "victoria "
    "viktor vijay vikram vincent vincenzo virginie vivian viviana vladimir volker wade walter wanda wayne "
    "wei wendy "
    "werner wilfred wilhelm william willie winston wojciech wolfgang xavier yasmin yolanda yoko yusuf yuri "
    "yves "
    "yvette yvonne zachary zahra zbigniew zoe zofia zoltan zuzana";

/* Names that are as often a word, a month, a place or a product. */
static const char word_names[] = "alba alex amber angel april ariel art august austin autumn bella bill "
                                 "billy blake bob bobby brad brook brooke "
                                 "candy carter casey cesar chad chance chase chelsea christian clark claude "
                                 "clay cliff cole crystal dale dallas "
                                 "dawn dean destiny diamond dick don drew duke earl eden eve faith felix "
                                 "fleur flora florence francis frank gene "
                                 "georgia ginger glen grace grant guy hank harmony hazel heath holly hope "
                                 "hunter iris ivy jack jackson jade jasper "
                                 "jay jasmin jewel jordan josie joy june karma kay kent king lance lane "
                                 "laurel lee liberty lincoln lola lynx mack "
                                 "madison major marina mark marlow martin mason mat max may mercy merit "
                                 "miles mike mitchell monday montana nat "
                                 "olive opal page paige parker pat paris patience pearl penny petal pierce "
                                 "piper pippa presley prince ray raven "
                                 "reed reggie rex rich river rob robbie rock rod romeo rose roman ruby rusty "
                                 "sage sam sandy savannah scarlett "
                                 "sierra skip sky sofie spencer sterling sue summer sunny sydney tad taylor "
                                 "terry troy van vera vernon victor "
                                 "viola violet virginia wade warren wes wesley will willow woody wren";

enum { NAME_BYTES_MAX = 24, SLOT_COUNT = 4096 };

struct lm_pii_given {
    struct {
        uint64_t hash;
        enum lm_pii_name_kind kind;
    } slots[SLOT_COUNT];
};

static size_t slot_of(const struct lm_pii_given *names, uint64_t hash)
{
    size_t i = hash % SLOT_COUNT;
    while (names->slots[i].hash != 0 && names->slots[i].hash != hash)
        i = (i + 1) % SLOT_COUNT;
    return i;
}

static void add_list(struct lm_pii_given *names, const char *list, enum lm_pii_name_kind kind)
{
    struct lm_str rest = lm_str(list), word;
    while (lm_str_split(&rest, ' ', &word)) {
        const uint64_t hash = lm_hash64(word.ptr, word.len);
        const size_t i = slot_of(names, hash);
        names->slots[i].hash = hash;
        names->slots[i].kind = kind;
    }
}

struct lm_pii_given *lm_pii_given_new(void)
{
    struct lm_pii_given *names = lm_zalloc(1, sizeof *names);
    add_list(names, clear_names, LM_PII_NAME_CLEAR);
    add_list(names, word_names, LM_PII_NAME_WORD);   // a name in both lists is a word
    return names;
}

void lm_pii_given_free(struct lm_pii_given *names)
{
    free(names);
}

/* "José" is looked up as "jose": letters of Latin-1 lose their marks. */
static char base_letter(uint32_t cp)
{
    static const char bases[] = "aaaaaaaceeeeiiiidnooooo*ouuuuypsaaaaaaaceeeeiiiidnooooo*ouuuuypy";
    return cp >= 0xc0 && cp <= 0xff ? bases[cp - 0xc0] : '\0';
}

enum lm_pii_name_kind lm_pii_name_kind(const struct lm_pii_given *names, struct lm_str word)
{
    char lower[NAME_BYTES_MAX];
    size_t len = 0;
    for (size_t at = 0, used; at < word.len; at += used) {
        uint32_t cp;
        used = lm_utf8_next(word, at, &cp);
        const char c = cp < 0x80 ? lm_to_lower((char)cp) : base_letter(cp);
        if (!lm_is_alpha(c) || len == sizeof lower)
            return LM_PII_NAME_NONE;
        lower[len++] = c;
    }
    return names->slots[slot_of(names, lm_hash64(lower, len))].kind;
}
