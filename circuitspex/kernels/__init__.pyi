from .choice import describe as describe
from .choice import use_triton as use_triton
from .ops import baseline_contribution as baseline_contribution
from .ops import gated_attention as gated_attention
from .ops import gated_input_projection as gated_input_projection
from .ops import gated_neurons_projection as gated_neurons_projection
from .ops import gated_output_projection as gated_output_projection
