from .artists.model import Model as Model
from .artists.model import load as load
from .artists.recipe import list_recipes as list_recipes
from .artists.recipe import load_recipe as load_recipe
from .artists.train import train as train
from .data.corpus import write_corpus as write_corpus
from .data.dataset import make_dataset as make_dataset
from .data.dataset import open_dataset as open_dataset
from .data.extraction import extract_folder as extract_folder
from .data.patches import extract_patches as extract_patches
from .evidence.verify import verify as verify
from .use.embedder import AudioEmbedder as AudioEmbedder
from .use.estimator import DeepArtistClassifier as DeepArtistClassifier
from .use.features import extract_features as extract_features
from .use.predict import predict_tracks as predict_tracks

__version__: str
