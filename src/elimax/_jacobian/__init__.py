"""From a function to its sparse derivative: few products, and the entries that are read off them; or partial
derivatives, and the vertices of a graph that are eliminated one by one."""

from elimax._jacobian.elimination.jacve import jacve as jacve
from elimax._jacobian.elimination.problem import computational_graph as computational_graph
from elimax._jacobian.elimination.search import elimination_order as elimination_order
from elimax._jacobian.jacobian import hessian as hessian
from elimax._jacobian.jacobian import jacfwd as jacfwd
from elimax._jacobian.jacobian import jacobian as jacobian
from elimax._jacobian.jacobian import jacrev as jacrev
from elimax._jacobian.patterns import check_pattern as check_pattern
from elimax._jacobian.patterns import hessian_pattern as hessian_pattern
from elimax._jacobian.patterns import jacobian_pattern as jacobian_pattern
