from .proofs import Proof as Proof
from .proofs import Proofs as Proofs
from .proofs import proofs as proofs
