from . import tasks as tasks
from .circuits import (
    Circuit as Circuit,
)
from .circuits import (
    Comparison as Comparison,
)
from .circuits import (
    Found as Found,
)
from .circuits import (
    PromptMap as PromptMap,
)
from .circuits import (
    attribution_scores as attribution_scores,
)
from .circuits import (
    coarse_to_fine as coarse_to_fine,
)
from .circuits import (
    compare as compare,
)
from .circuits import (
    compare_series as compare_series,
)
from .circuits import (
    examine as examine,
)
from .circuits import (
    explain as explain,
)
from .circuits import (
    find_circuit as find_circuit,
)
from .circuits import (
    mib_scores as mib_scores,
)
from .components import Component as Component
from .components import Latents as Latents
from .errors import UserError as UserError
from .games import (
    ComponentGame as ComponentGame,
)
from .games import (
    EdgeGame as EdgeGame,
)
from .games import (
    FunctionGame as FunctionGame,
)
from .games import (
    GroupedGame as GroupedGame,
)
from .games import (
    LensGame as LensGame,
)
from .games import (
    RayWorkers as RayWorkers,
)
from .games import (
    Run as Run,
)
from .games import (
    TokenGame as TokenGame,
)
from .games import (
    Training as Training,
)
from .games import (
    TrainingGame as TrainingGame,
)
from .masks import CodedDesign as CodedDesign
from .masks import sample_masks as sample_masks
from .models import load_model as load_model
from .models import model_identity as model_identity
from .recovery import Interactions as Interactions
from .recovery import decode as decode
from .recovery import spex as spex
from .tasks import Example as Example
from .tasks import Task as Task

__version__: str
