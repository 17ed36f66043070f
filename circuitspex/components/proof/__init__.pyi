from .proofs import proofs as proofs
from .what_is_proved import Proof as Proof
from .what_is_proved import Proofs as Proofs
