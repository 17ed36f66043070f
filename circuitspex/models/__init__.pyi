from .catalogue import CATALOGUE as CATALOGUE
from .catalogue import CatalogueModel as CatalogueModel
from .catalogue import fetch as fetch
from .identity import model_identity as model_identity
from .load import load_model as load_model
from .load import model_name as model_name
from .protocol import Model as Model
from .tokens import encode as encode
