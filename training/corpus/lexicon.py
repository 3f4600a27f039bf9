"""The lemmas of the embedded corpus as data: what a grammar book's word list would say about each of them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Noun:
    """A noun: English singular and plural, German nominative, gender, genitive, plural, and its semantic tags."""

    key: str
    english: str
    english_plural: str
    german: str
    gender: str
    genitive: str
    plural: str
    tags: frozenset[str]
    weak: bool = False

    @property
    def mass(self) -> bool:
        """Return whether the noun has no plural in this corpus (English then takes no "a")."""
        return not self.english_plural


@dataclass(frozen=True)
class Verb:
    """A verb: English principal parts, German principal parts, and what it governs.

    `case` is the case of the plain object; `preposition` and `preposition_case` belong to a prepositional object.
    """

    key: str
    english: tuple[str, str, str, str, str]  # base, third person singular, past, participle, -ing form
    particle: str
    prefix: str
    infinitive: str
    third: str
    preterite: str
    participle: str
    auxiliary: str
    case: str
    reflexive: bool = False
    dative_with_to: bool = False
    preposition: tuple[str, str, str] = ("", "", "")
    present: tuple[str, ...] = field(default=())  # all six present forms, where the rules do not yield them


@dataclass(frozen=True)
class Adjective:
    """An adjective: English and German degrees, the German stem before endings, and the nouns it goes with."""

    key: str
    english: tuple[str, str, str]
    german: tuple[str, str, str]
    stem: str
    tags: frozenset[str]


@dataclass(frozen=True)
class Adverb:
    """An adverb or adverbial expression of time, with the tenses it goes with."""

    key: str
    english: str
    german: str
    kind: str  # past, present, future, any: an expression of time; frequency: an adverb inside the English verb group
    after_definite: bool = False


@dataclass(frozen=True)
class Preposition:
    """A preposition with the case it governs; "two-way" ones take the accusative for motion, else the dative."""

    key: str
    english: str
    german: str
    case: str


def _rows(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]


# English | plural (none: mass noun) | German | gender (w: weak declension) | genitive | plural | tags
_NOUNS = """
man         | men          | Mann       | m  | Mannes       | Männer      | person adult
woman       | women        | Frau       | f  | Frau         | Frauen      | person adult
child       | children     | Kind       | n  | Kindes       | Kinder      | person young
boy         | boys         | Junge      | mw | Jungen       | Jungen      | person young
girl        | girls        | Mädchen    | n  | Mädchens     | Mädchen     | person young
teacher     | teachers     | Lehrer     | m  | Lehrers      | Lehrer      | person adult job
doctor      | doctors      | Arzt       | m  | Arztes       | Ärzte       | person adult job
neighbor    | neighbors    | Nachbar    | mw | Nachbarn     | Nachbarn    | person adult kin
student     | students     | Student    | mw | Studenten    | Studenten   | person adult job
aunt        | aunts        | Tante      | f  | Tante        | Tanten      | person adult kin
uncle       | uncles       | Onkel      | m  | Onkels       | Onkel       | person adult kin
grandmother | grandmothers | Großmutter | f  | Großmutter   | Großmütter  | person kin elder
grandfather | grandfathers | Großvater  | m  | Großvaters   | Großväter   | person kin elder
brother     | brothers     | Bruder     | m  | Bruders      | Brüder      | person kin sibling
sister      | sisters      | Schwester  | f  | Schwester    | Schwestern  | person kin sibling
friend      | friends      | Freund     | m  | Freundes     | Freunde     | person adult kin
baker       | bakers       | Bäcker     | m  | Bäckers      | Bäcker      | person adult job
farmer      | farmers      | Bauer      | mw | Bauern       | Bauern      | person adult job
guest       | guests       | Gast       | m  | Gastes       | Gäste       | person adult
colleague   | colleagues   | Kollege    | mw | Kollegen     | Kollegen    | person adult kin job
tourist     | tourists     | Tourist    | mw | Touristen    | Touristen   | person adult
son         | sons         | Sohn       | m  | Sohnes       | Söhne       | person kin sibling
daughter    | daughters    | Tochter    | f  | Tochter      | Töchter     | person kin sibling
dog         | dogs         | Hund       | m  | Hundes       | Hunde       | animal pet
cat         | cats         | Katze      | f  | Katze        | Katzen      | animal pet
horse       | horses       | Pferd      | n  | Pferdes      | Pferde      | animal farm
bird        | birds        | Vogel      | m  | Vogels       | Vögel       | animal
apple       | apples       | Apfel      | m  | Apfels       | Äpfel       | food fruit piece
pear        | pears        | Birne      | f  | Birne        | Birnen      | food fruit piece
bread       |              | Brot       | n  | Brotes       |             | food fresh
cheese      |              | Käse       | m  | Käses        |             | food fresh
soup        |              | Suppe      | f  | Suppe        |             | food cooked
cake        | cakes        | Kuchen     | m  | Kuchens      | Kuchen      | food fresh piece sweet
egg         | eggs         | Ei         | n  | Eies         | Eier        | food fresh cooked piece
fish        |              | Fisch      | m  | Fisches      |             | food fresh cooked
water       |              | Wasser     | n  | Wassers      |             | drink chilled
milk        |              | Milch      | f  | Milch        |             | drink chilled warmed
coffee      |              | Kaffee     | m  | Kaffees      |             | drink warmed
tea         |              | Tee        | m  | Tees         |             | drink warmed
juice       |              | Saft       | m  | Safts        |             | drink chilled fruit
book        | books        | Buch       | n  | Buches       | Bücher      | thing ware readable lie printed
newspaper   | newspapers   | Zeitung    | f  | Zeitung      | Zeitungen   | readable lie printed
letter      | letters      | Brief      | m  | Briefes      | Briefe      | readable lie
novel       | novels       | Roman      | m  | Romans       | Romane      | readable printed tale
bottle      | bottles      | Flasche    | f  | Flasche      | Flaschen    | thing stand vessel colored
lamp        | lamps        | Lampe      | f  | Lampe        | Lampen      | thing ware stand switch colored
cup         | cups         | Tasse      | f  | Tasse        | Tassen      | thing stand vessel colored
key         | keys         | Schlüssel  | m  | Schlüssels   | Schlüssel   | thing lie
knife       | knives       | Messer     | n  | Messers      | Messer      | thing lie
blanket     | blankets     | Decke      | f  | Decke        | Decken      | thing ware lie colored soft
picture     | pictures     | Bild       | n  | Bildes       | Bilder      | thing ware art
ticket      | tickets      | Fahrkarte  | f  | Fahrkarte    | Fahrkarten  | thing lie paid
coat        | coats        | Mantel     | m  | Mantels      | Mäntel      | thing ware clothes colored soft
jacket      | jackets      | Jacke      | f  | Jacke        | Jacken      | thing ware clothes colored soft
hat         | hats         | Hut        | m  | Hutes        | Hüte        | thing ware hat colored
cap         | caps         | Mütze      | f  | Mütze        | Mützen      | thing ware hat colored soft
door        | doors        | Tür        | f  | Tür          | Türen       | open colored
window      | windows      | Fenster    | n  | Fensters     | Fenster     | open
suitcase    | suitcases    | Koffer     | m  | Koffers      | Koffer      | thing ware stand open load colored
bag         | bags         | Tasche     | f  | Tasche       | Taschen     | thing ware load colored open
radio       | radios       | Radio      | n  | Radios       | Radios      | thing ware switch device stand
television  | televisions  | Fernseher  | m  | Fernsehers   | Fernseher   | thing ware switch device
computer    | computers    | Computer   | m  | Computers    | Computer    | thing ware switch device
bus         | buses        | Bus        | m  | Busses       | Busse       | ride public
train       | trains       | Zug        | m  | Zuges        | Züge        | ride public
car         | cars         | Auto       | n  | Autos        | Autos       | thing ware ride vehicle colored
bicycle     | bicycles     | Fahrrad    | n  | Fahrrads     | Fahrräder   | thing ware ride vehicle colored
gift        | gifts        | Geschenk   | n  | Geschenks    | Geschenke   | thing present
ball        | balls        | Ball       | m  | Balls        | Bälle       | thing ware toy colored
table       | tables       | Tisch      | m  | Tisches      | Tische      | thing ware surface furniture
bed         | beds         | Bett       | n  | Bettes       | Betten      | thing ware furniture
sofa        | sofas        | Sofa       | n  | Sofas        | Sofas       | thing ware surface furniture colored
chair       | chairs       | Stuhl      | m  | Stuhls       | Stühle      | thing ware surface furniture
house       | houses       | Haus       | n  | Hauses       | Häuser      | place building home enter
garden      | gardens      | Garten     | m  | Gartens      | Gärten      | place outdoors enter
kitchen     | kitchens     | Küche      | f  | Küche        | Küchen      | place indoors enter
school      | schools      | Schule     | f  | Schule       | Schulen     | place building goal work
city        | cities       | Stadt      | f  | Stadt        | Städte      | place town
village     | villages     | Dorf       | n  | Dorfes       | Dörfer      | place town
park        | parks        | Park       | m  | Parks        | Parks       | place outdoors enter goal
market      | markets      | Markt      | m  | Marktes      | Märkte      | goal
museum      | museums      | Museum     | n  | Museums      | Museen      | place building goal work enter
church      | churches     | Kirche     | f  | Kirche       | Kirchen     | place building goal enter
hospital    | hospitals    | Krankenhaus| n  | Krankenhauses| Krankenhäuser| place building goal work
station     | stations     | Bahnhof    | m  | Bahnhofs     | Bahnhöfe    | building goal
forest      | forests      | Wald       | m  | Waldes       | Wälder      | place outdoors enter
office      | offices      | Büro       | n  | Büros        | Büros       | place indoors work enter
room        | rooms        | Zimmer     | n  | Zimmers      | Zimmer      | place indoors enter
hotel       | hotels       | Hotel      | n  | Hotels       | Hotels      | place building goal work enter
river       | rivers       | Fluss      | m  | Flusses      | Flüsse      | waters
lake        | lakes        | See        | m  | Sees         | Seen        | waters goal
bank        | banks        | Bank       | f  | Bank         | Banken      | place building goal work
bank_shore  | banks        | Ufer       | n  | Ufers        | Ufer        | shore
question    | questions    | Frage      | f  | Frage        | Fragen      | idea task
story       | stories      | Geschichte | f  | Geschichte   | Geschichten | tale told
song        | songs        | Lied       | n  | Liedes       | Lieder      | art told
film        | films        | Film       | m  | Films        | Filme       | event tale
plan        | plans        | Plan       | m  | Plans        | Pläne       | idea
problem     | problems     | Problem    | n  | Problems     | Probleme    | idea task
concert     | concerts     | Konzert    | n  | Konzerts     | Konzerte    | event
trip        | trips        | Reise      | f  | Reise        | Reisen      | event
weather     |              | Wetter     | n  | Wetters      |             | weather
"""

# key | English: base, third person, past, participle, -ing, particle (+: part of what the verb governs)
# | German: prefix+infinitive, third person, preterite, participle (all three without prefix)
# | auxiliary (haben or sein) | case of the object | further facts
_VERBS = """
be           | be is was been being                             | sein ist war gewesen                       | s
have         | have has had had having                          | haben hat hatte gehabt                     | h | acc
see          | see sees saw seen seeing                         | sehen sieht sah gesehen                    | h | acc
buy          | buy buys bought bought buying                    | kaufen kauft kaufte gekauft                | h | acc
sell         | sell sells sold sold selling                     | verkaufen verkauft verkaufte verkauft      | h | acc
read         | read reads read read reading                     | lesen liest las gelesen                    | h | acc
write        | write writes wrote written writing               | schreiben schreibt schrieb geschrieben     | h | acc
eat          | eat eats ate eaten eating                        | essen isst aß gegessen                     | h | acc
drink        | drink drinks drank drunk drinking                | trinken trinkt trank getrunken             | h | acc
cook         | cook cooks cooked cooked cooking                 | kochen kocht kochte gekocht                | h | acc
find         | find finds found found finding                   | finden findet fand gefunden                | h | acc
look_for     | look looks looked looked looking +for            | suchen sucht suchte gesucht                | h | acc
forget       | forget forgets forgot forgotten forgetting       | vergessen vergisst vergaß vergessen        | h | acc
repair       | repair repairs repaired repaired repairing       | reparieren repariert reparierte repariert  | h | acc
clean        | clean cleans cleaned cleaned cleaning            | putzen putzt putzte geputzt                | h | acc
hear         | hear hears heard heard hearing                   | hören hört hörte gehört                    | h | acc
carry        | carry carries carried carried carrying           | tragen trägt trug getragen                 | h | acc
wear         | wear wears wore worn wearing                     | tragen trägt trug getragen                 | h | acc
visit        | visit visits visited visited visiting            | besuchen besucht besuchte besucht          | h | acc
know_person  | know knows knew known knowing                    | kennen kennt kannte gekannt                | h | acc
know_fact    | know knows knew known knowing                    | wissen weiß wusste gewusst                 | h | acc
like_taste   | like likes liked liked liking                    | mögen mag mochte gemocht                   | h | acc
like_please  | like likes liked liked liking                    | gefallen gefällt gefiel gefallen           | h | dat
put_stand    | put puts put put putting                         | stellen stellt stellte gestellt            | h | acc
put_lie      | put puts put put putting                         | legen legt legte gelegt                    | h | acc
put_on       | put puts put put putting on                      | an+ziehen zieht zog gezogen                | h | acc
put_on_hat   | put puts put put putting on                      | auf+setzen setzt setzte gesetzt            | h | acc
open         | open opens opened opened opening                 | öffnen öffnet öffnete geöffnet             | h | acc
close        | close closes closed closed closing               | schließen schließt schloss geschlossen     | h | acc
lock         | lock locks locked locked locking                 | ab+schließen schließt schloss geschlossen  | h | acc
tidy_up      | tidy tidies tidied tidied tidying up             | auf+räumen räumt räumte geräumt            | h | acc
call         | call calls called called calling                 | an+rufen ruft rief gerufen                 | h | acc
take_off     | take takes took taken taking off                 | aus+ziehen zieht zog gezogen               | h | acc
turn_on      | turn turns turned turned turning on              | ein+schalten schaltet schaltete geschaltet | h | acc
turn_off     | turn turns turned turned turning off             | aus+schalten schaltet schaltete geschaltet | h | acc
invite       | invite invites invited invited inviting          | ein+laden lädt lud geladen                 | h | acc
pick_up      | pick picks picked picked picking up              | ab+holen holt holte geholt                 | h | acc
give         | give gives gave given giving                     | geben gibt gab gegeben                     | h | acc
show         | show shows showed shown showing                  | zeigen zeigt zeigte gezeigt                | h | acc
send         | send sends sent sent sending                     | schicken schickt schickte geschickt        | h | acc
bring        | bring brings brought brought bringing            | bringen bringt brachte gebracht            | h | acc
tell         | tell tells told told telling                     | erzählen erzählt erzählte erzählt          | h | acc
explain | explain explains explained explained explaining | erklären erklärt erklärte erklärt | h | acc | to
help         | help helps helped helped helping                 | helfen hilft half geholfen                 | h | dat
thank        | thank thanks thanked thanked thanking            | danken dankt dankte gedankt                | h | dat
follow       | follow follows followed followed following       | folgen folgt folgte gefolgt                | s | dat
belong       | belong belongs belonged belonged belonging +to   | gehören gehört gehörte gehört              | h | dat
wait | wait waits waited waited waiting | warten wartet wartete gewartet | h | | for,auf,acc
think | think thinks thought thought thinking | denken denkt dachte gedacht | h | | of,an,acc
dream | dream dreams dreamed dreamed dreaming | träumen träumt träumte geträumt | h | | of,von,dat
talk | talk talks talked talked talking | sprechen spricht sprach gesprochen | h | | about,über,acc
look_forward | look looks looked looked looking forward | freuen freut freute gefreut | h | | to,auf,acc reflexive
sleep        | sleep sleeps slept slept sleeping                | schlafen schläft schlief geschlafen        | h
work         | work works worked worked working                 | arbeiten arbeitet arbeitete gearbeitet     | h
play         | play plays played played playing                 | spielen spielt spielte gespielt            | h
sing         | sing sings sang sung singing                     | singen singt sang gesungen                 | h | acc
swim         | swim swims swam swum swimming                    | schwimmen schwimmt schwamm geschwommen     | s
live         | live lives lived lived living                    | wohnen wohnt wohnte gewohnt                | h
sit          | sit sits sat sat sitting                         | sitzen sitzt saß gesessen                  | h
be_stand     | be is was been being                             | stehen steht stand gestanden               | h
be_lie       | be is was been being                             | liegen liegt lag gelegen                   | h
go_foot      | go goes went gone going                          | gehen geht ging gegangen                   | s
go_ride      | go goes went gone going                          | fahren fährt fuhr gefahren                 | s
run          | run runs ran run running                         | laufen läuft lief gelaufen                 | s
arrive       | arrive arrives arrived arrived arriving          | an+kommen kommt kam gekommen               | s
return       | return returns returned returned returning       | zurück+kehren kehrt kehrte gekehrt         | s
get_up       | get gets got gotten getting up                   | auf+stehen steht stand gestanden           | s
fall_asleep  | fall falls fell fallen falling asleep            | ein+schlafen schläft schlief geschlafen    | s
rain         | rain rains rained rained raining                 | regnen regnet regnete geregnet             | h
snow         | snow snows snowed snowed snowing                 | schneien schneit schneite geschneit        | h
say          | say says said said saying                        | sagen sagt sagte gesagt                    | h | acc
believe      | believe believes believed believed believing     | glauben glaubt glaubte geglaubt            | h | acc
hope         | hope hopes hoped hoped hoping                    | hoffen hofft hoffte gehofft                | h
ask_question | ask asks asked asked asking                      | fragen fragt fragte gefragt                | h | acc
ask_favor    | ask asks asked asked asking                      | bitten bittet bat gebeten                  | h | acc
try          | try tries tried tried trying                     | versuchen versucht versuchte versucht      | h | acc
can          | can can could - -                                | können kann konnte gekonnt                 | h
must         | must must - - -                                  | müssen muss musste gemusst                 | h
want         | want wants wanted wanted wanting to              | wollen will wollte gewollt                 | h
may          | may may - - -                                    | dürfen darf durfte gedurft                 | h
should       | should should - - -                              | sollen soll sollte gesollt                 | h
"""

# The present of verbs that have no regular one: ich, du, er, wir, ihr, sie.
_IRREGULAR_PRESENT = {
    "know_fact": "weiß weißt weiß wissen wisst wissen",
    "like_taste": "mag magst mag mögen mögt mögen",
    "can": "kann kannst kann können könnt können",
    "must": "muss musst muss müssen müsst müssen",
    "want": "will willst will wollen wollt wollen",
    "may": "darf darfst darf dürfen dürft dürfen",
    "should": "soll sollst soll sollen sollt sollen",
}

# English degrees (one form: compared with "more") | German degrees | stem before endings, if it differs | tags
_ADJECTIVES = """
old older oldest | alt älter ältest | | adult elder thing art building animal pet town
young younger youngest          | jung jünger jüngst                       |       | adult animal sibling
tall taller tallest             | groß größer größt                        |       | adult sibling
big bigger biggest              | groß größer größt                        |       | animal thing place town fruit
small smaller smallest | klein kleiner kleinst | | animal thing place town young piece waters
new newer newest | neu neuer neuest | | thing job readable art idea film concert building
red redder reddest              | rot röter rötest                         |       | colored fruit
blue bluer bluest               | blau blauer blauest                      |       | colored
green greener greenest          | grün grüner grünst                       |       | colored
black blacker blackest          | schwarz schwärzer schwärzest             |       | colored pet farm
white whiter whitest            | weiß weißer weißest                      |       | colored pet farm
beautiful | schön schöner schönst | | art clothes building outdoors waters event town weather
expensive                       | teuer teurer teuerst                     | teur  | ware paid present
heavy heavier heaviest          | schwer schwerer schwerst                 |       | load furniture
difficult                       | schwierig schwieriger schwierigst        |       | task idea book
important                       | wichtig wichtiger wichtigst              |       | idea readable
long longer longest             | lang länger längst                       |       | readable event told river
short shorter shortest          | kurz kürzer kürzest                      |       | readable event told
interesting                     | interessant interessanter interessantest |       | readable event told idea town
exciting                        | spannend spannender spannendst           |       | tale told
friendly friendlier friendliest | freundlich freundlicher freundlichst     |       | adult kin job young
famous                          | berühmt berühmter berühmtest             |       | teacher doctor baker art printed
tired                           | müde müder müdest                        | müd   | person
sick                            | krank kränker kränkest                   |       | person pet farm
happy happier happiest          | glücklich glücklicher glücklichst        |       | person
fresh fresher freshest          | frisch frischer frischest                |       | fresh fruit
sweet sweeter sweetest          | süß süßer süßest                         |       | fruit sweet
cold colder coldest             | kalt kälter kältest                      |       | chilled weather
hot hotter hottest              | heiß heißer heißest                      |       | warmed soup
warm warmer warmest             | warm wärmer wärmst                       |       | soft
dark darker darkest             | dunkel dunkler dunkelst                  | dunkl | indoors forest
quiet quieter quietest          | ruhig ruhiger ruhigst                    |       | indoors town outdoors home
good better best | gut besser best | | event readable printed idea cooked weather
bad worse worst                 | schlecht schlechter schlechtest          |       | weather event
"""

# English | German | kind
_ADVERBS = """
today               | heute             | any
now                 | jetzt             | present
every day           | jeden Tag         | present
every morning       | jeden Morgen      | present
in the evening      | am Abend          | any
on Monday           | am Montag         | any
on Sunday           | am Sonntag        | any
yesterday           | gestern           | past
last week           | letzte Woche      | past
tomorrow            | morgen            | future
next week           | nächste Woche     | future
often               | oft               | frequency
always              | immer             | frequency
sometimes           | manchmal          | frequency
never               | nie               | frequency after
already             | schon             | perfect after
very                | sehr              | degree
late                | spät              | hour
early               | früh              | hour
"""

# key | English | German | case
_PREPOSITIONS = """
in          | in          | in      | two-way
into        | into        | in      | two-way
on          | on          | auf     | two-way
at_market   | at          | auf     | two-way
to_town     | to          | in      | two-way
at_edge     | at          | an      | two-way
on_edge     | on          | an      | two-way
under       | under       | unter   | two-way
behind      | behind      | hinter  | two-way
next_to     | next to     | neben   | two-way
in_front_of | in front of | vor     | two-way
with        | with        | mit     | dat
by          | by          | mit     | dat
to          | to          | zu      | dat
from        | from        | aus     | dat
after       | after       | nach    | dat
before      | before      | vor     | dat
for         | for         | für     | acc
without     | without     | ohne    | acc
through     | through     | durch   | acc
during      | during      | während | gen
because_of  | because of  | wegen   | gen
despite     | despite     | trotz   | gen
"""

# key | English | German
_CONJUNCTIONS = """
because     | because  | weil
that        | that     | dass
if          | if       | wenn
when_past   | when     | als
whether     | whether  | ob
before      | before   | bevor
after       | after    | nachdem
although    | although | obwohl
and         | and      | und
but         | but      | aber
"""

# name | gender | kind
_NAMES = """
Anna      | f | first
Maria     | f | first
Emma      | f | first
Peter     | m | first
Paul      | m | first
Max       | m | first
Weber     | f | last
Koch      | m | last
"""


@dataclass(frozen=True)
class Conjunction:
    """A conjunction in both languages."""

    key: str
    english: str
    german: str


@dataclass(frozen=True)
class Name:
    """A name, spelled alike in both languages, with its bearer's gender; kind tells first from last names."""

    key: str
    gender: str
    kind: str

    @property
    def text(self) -> str:
        """Return the name as written."""
        return self.key.partition(":")[2]


def _nouns() -> dict[str, Noun]:
    nouns = {}
    for english, english_plural, german, gender, genitive, plural, tags in _rows(_NOUNS):
        nouns[english] = Noun(
            f"noun:{english}", english.partition("_")[0], english_plural, german, gender[0], genitive, plural,
            frozenset([english, *tags.split()]), weak=gender.endswith("w"),
        )  # fmt: skip
    return nouns


def _verbs() -> dict[str, Verb]:
    verbs = {}
    for row in _rows(_VERBS):
        key, english, german, auxiliary, case, more = [*row, "", ""][:6]
        base, third, past, participle, ing, *particle = english.split()
        first, de_third, preterite, de_participle = german.split()
        prefix, _, infinitive = first.rpartition("+")
        preposition, facts = ("", "", ""), more.split()
        if facts and "," in facts[0]:
            english_preposition, german_preposition, preposition_case = facts[0].split(",")
            preposition = (english_preposition, german_preposition, preposition_case)
        verbs[key] = Verb(
            f"verb:{key}", (base, third, past, participle, ing), " ".join(particle), prefix, infinitive, de_third,
            preterite, de_participle, {"h": "haben", "s": "sein"}[auxiliary], case, reflexive="reflexive" in facts,
            dative_with_to="to" in facts, preposition=preposition,
            present=tuple(_IRREGULAR_PRESENT.get(key, "").split()),
        )  # fmt: skip
    return verbs


def _adjectives() -> dict[str, Adjective]:
    adjectives = {}
    for english, german, stem, tags in _rows(_ADJECTIVES):
        positive, *degrees = english.split()
        forms = (positive, *degrees) if degrees else (positive, f"more {positive}", f"most {positive}")
        base, comparative, superlative = german.split()
        adjectives[positive] = Adjective(
            f"adjective:{positive}", (forms[0], forms[1], forms[2]), (base, comparative, superlative), stem or base,
            frozenset(tags.split()),
        )  # fmt: skip
    return adjectives


def _adverbs() -> dict[str, Adverb]:
    adverbs = {}
    for english, german, kind in _rows(_ADVERBS):
        kind, _, after = kind.partition(" ")
        adverbs[english] = Adverb(f"adverb:{english}", english, german, kind, after == "after")
    return adverbs


NOUNS = _nouns()
VERBS = _verbs()
ADJECTIVES = _adjectives()
ADVERBS = _adverbs()
PREPOSITIONS = {key: Preposition(f"preposition:{key}", en, de, case) for key, en, de, case in _rows(_PREPOSITIONS)}
CONJUNCTIONS = {key: Conjunction(f"conjunction:{key}", en, de) for key, en, de in _rows(_CONJUNCTIONS)}
NAMES = {name: Name(f"name:{name}", gender, kind) for name, gender, kind in _rows(_NAMES)}

# Content lemmas are those a sentence is about; the rest hold it together.
CONTENT_KINDS = ("noun", "verb", "adjective", "adverb", "name")


def all_lemmas() -> list[str]:
    """Return the key of every lemma of the lexicon, in the order of its tables."""
    tables = (NOUNS, VERBS, ADJECTIVES, ADVERBS, PREPOSITIONS, CONJUNCTIONS, NAMES)
    return [entry.key for table in tables for entry in table.values()]


def is_content(lemma: str) -> bool:
    """Return whether a lemma's key names a content lemma."""
    return lemma.partition(":")[0] in CONTENT_KINDS
