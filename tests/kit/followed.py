"""A station that follows a tag, in this process: its file, kept frames, an inspector's stand-in."""

from dataclasses import replace
from pathlib import Path

from onnx import save

from edgeseg.errors import EdgesegError
from edgeseg.fleet.attempt import attempt
from edgeseg.fleet.config import PushConfig
from edgeseg.fleet.follower import Follower
from edgeseg.fleet.push import push
from edgeseg.station.config import read_station
from edgeseg.station.following.current import folder_of, read_current, settle
from edgeseg.station.following.state import read_following
from edgeseg.station.lines.recipes import Recipes
from tests.kit.evidence import done, keep, make_judge, make_keeper, red
from tests.kit.red_graph import CARD, SIDE, red_graph
from tests.kit.stations import write_station

REDS = (0, 100, 170, 190, 255)  # the first three are good
FLEET = '[fleet]\nprecision = "fp32"\nmin_frames = 3\ntrial_s = 0\n'


def release(folder, place, *, limit=0.7, number=1, **settings):
    """Push a model with an image threshold; its digest."""
    card = replace(CARD, image_threshold=limit, versions={"release": str(number)})
    folder.mkdir(exist_ok=True)
    save(red_graph(card=card), folder / "plates.onnx")
    return push(folder / "plates.onnx", place, PushConfig(retry=0, **settings)).digest


def follow(folder, place, *, fleet="", cameras=None, rest=""):
    """Write the file of a station that follows a tag."""
    folder.mkdir(exist_ok=True)
    cameras = cameras or {"top": {"source": "test://64x48@20"}}
    file = write_station(folder, cameras=cameras, rest=rest + FLEET + fleet)
    own = 'model = "plates.onnx"\n'
    follows = f'{own}runtime = "onnxruntime"\nfollow = "{place}"\n'
    file.write_text(file.read_text().replace(own, follows))
    return file


def keep_frames(file, reds=REDS):
    """Keep a frame for each brightness of red, as the station of a file would."""
    judge = make_judge(CARD)
    keeper = make_keeper(read_station(file).folder, judge, good_share=1.0)
    for number, value in enumerate(reds, 1):
        keep(keeper, judge, red(value, (SIDE, SIDE)), number)
    done(keeper)


class StandIn:
    """Opens the models when it is asked, as the inspector does; the other end of a link."""

    def __init__(self, file):
        self.config, self.answers, self.over, self.reload_asked = (
            read_station(file),
            [],
            False,
            False,
        )
        self.start()

    def start(self):
        """What a new start of the inspector does."""
        settle(self.config.folder)
        self._open()

    def send(self, message):
        try:
            self._open()
        except EdgesegError:
            self.answers.append({"switched": False})
        else:
            self.answers.append({"switched": True})
        return True

    def receive(self, timeout):
        return self.answers.pop(0) if self.answers else None

    def _open(self):
        with Recipes(self.config) as recipes:
            self.runs = recipes.cards["plates"]


class Here(Follower):
    """A follower whose attempts are made in this process."""

    def _attempt(self, recipe, digest):
        return attempt(self._file, recipe.name, digest)


class Followed:
    """A station of a file, its follower and its stand-in."""

    def __init__(self, file, kind=Here):
        self.file, self.inspector = file, StandIn(file)
        config = self.inspector.config
        self.folder = folder_of(config.folder, "plates")
        self.recipe = config.recipe_named("plates")
        self._follower = kind(file, config, self.inspector, self.inspector)

    def look(self):
        """Let the follower look once; how it does then."""
        self._follower.look(self.recipe)
        return read_following(self.folder)

    @property
    def current(self):
        return read_current(self.folder)

    @property
    def limit(self):
        """The image threshold of the model that runs."""
        return self.inspector.runs.image_threshold

    @property
    def names(self):
        return sorted(path.name for path in Path(self.folder).iterdir())
