"""The models of the cases: ONNX ones as (name, text, given inputs, opset), and TFLite's operators."""

import numpy as np
from ai_edge_litert.schema_py_generated import ActivationFunctionType, MirrorPadMode
from tflite_file import Input, Operator, Parameter, Weight

LATEST = 21


def model(name, text, opset=LATEST, **given):
    """A case; inputs that are not given are drawn."""
    return (name, text, given, opset)


def unary(name, call, values, kind="float", opset=LATEST):
    """A case of one operator on a vector."""
    n = len(values)
    return model(name, f"({kind}[{n}] x) => ({kind}[{n}] y) {{ y = {call} }}", opset, x=values)


WIDE = [-100.0, -20.5, -6.0, -3.0, -2.5, -1.0, -0.125, -0.0, 0.0, 0.0625, 0.5, 1.0, 2.75, 3.0, 6.0, 30.0, 100.0]
POSITIVE = [0.0, 1e-6, 0.25, 0.5, 1.0, 2.0, 10.0, 12345.0]

ELEMENTWISE = [
    model("sub_broadcast", "(float[2,3] a, float[3] b) => (float[2,3] y) { y = Sub(a, b) }"),
    model("sub_stretches_both", "(float[2,1,3] a, float[4,1] b) => (float[2,4,3] y) { y = Sub(a, b) }"),
    model("sub_integers_wrap", "(int32[3] a, int32[3] b) => (int32[3] y) { y = Sub(a, b) }",
          a=[-2147483648, 5, -7], b=[1, -9, 9]),
    model("add_opset_7", "(float[2,3] a, float[] b) => (float[2,3] y) { y = Add(a, b) }", 7),
    model("mul", "(float[2,3] a, float[2,1] b) => (float[2,3] y) { y = Mul(a, b) }"),
    model("mul_i64", "(int64[4] a, int64[1] b) => (int64[4] y) { y = Mul(a, b) }"),
    model("div", "(float[2,3] a, float[3] b) => (float[2,3] y) { y = Div(a, b) }", b=[0.5, -3.0, 7.0]),
    model("div_by_zero", "(float[4] a, float[4] b) => (float[4] y) { y = Div(a, b) }",
          a=[1.0, -1.0, 0.0, 3.0], b=[0.0, 0.0, 2.0, -0.0]),
    model("div_truncates", "(int32[6] a, int32[6] b) => (int32[6] y) { y = Div(a, b) }",
          a=[7, -7, 7, -7, 6, 1], b=[2, 2, -2, -2, 3, 5]),
    model("pow", "(float[5] a, float[5] b) => (float[5] y) { y = Pow(a, b) }",
          a=[2.0, 3.5, 0.25, 10.0, 1.5], b=[3.0, 0.5, -2.0, 0.0, 1.25]),
    model("pow_of_two", "(float[2,3] a, float[1] kb) => (float[2,3] y) { y = Pow(a, kb) }", kb=[2.0]),
    model("pow_integer_exponent", "(float[4] a, int64[4] b) => (float[4] y) { y = Pow(a, b) }",
          a=[-2.0, -3.0, 1.5, 4.0], b=[3, 2, 5, -1]),
    model("pow_integers", "(int64[4] a, int64[4] b) => (int64[4] y) { y = Pow(a, b) }", a=[2, -3, 7, 1], b=[10, 3, 0, 9]),
    model("pow_real_exponent", "(int32[3] a, float[3] b) => (int32[3] y) { y = Pow(a, b) }", a=[2, 3, 9], b=[3.5, 2.0, 0.5]),
    model("min_of_three", "(float[2,3] a, float[3] b, float[2,1] c) => (float[2,3] y) { y = Min(a, b, c) }"),
    model("min_i32", "(int32[4] a, int32[4] b) => (int32[4] y) { y = Min(a, b) }"),
    model("max_of_one", "(float[3] a) => (float[3] y) { y = Max(a) }"),
    model("max_of_three", "(float[2,3] a, float[3] b, float[2,1] c) => (float[2,3] y) { y = Max(a, b, c) }"),
    model("max_i8", "(int8[4] a, int8[4] b) => (int8[4] y) { y = Max(a, b) }"),
    unary("leaky_relu", "LeakyRelu(x)", WIDE),
    unary("leaky_relu_alpha", "LeakyRelu<alpha = 0.25>(x)", WIDE),
    model("prelu_channels", "(float[2,3,2] x, float[3,1] s) => (float[2,3,2] y) { y = PRelu(x, s) }"),
    unary("sigmoid", "Sigmoid(x)", WIDE),
    unary("hard_sigmoid", "HardSigmoid(x)", WIDE),
    unary("hard_sigmoid_alpha", "HardSigmoid<alpha = 0.5, beta = 0.25>(x)", WIDE),
    unary("hard_swish", "HardSwish(x)", WIDE),
    unary("elu", "Elu(x)", WIDE),
    unary("elu_alpha", "Elu<alpha = 2.5>(x)", WIDE),
    unary("gelu", "Gelu(x)", WIDE),
    unary("gelu_tanh", 'Gelu<approximate = "tanh">(x)', WIDE),
    unary("erf", "Erf(x)", WIDE),
    unary("exp", "Exp(x)", WIDE[1:-1]),
    unary("log", "Log(x)", POSITIVE),
    unary("sqrt", "Sqrt(x)", POSITIVE),
    unary("reciprocal", "Reciprocal(x)", POSITIVE),
    unary("abs", "Abs(x)", WIDE),
    unary("abs_i32", "Abs(x)", [-2147483647, -1, 0, 1, 7], "int32"),
    unary("neg", "Neg(x)", WIDE),
    unary("neg_i64", "Neg(x)", [-5, 0, 9], "int64"),
    unary("relu", "Relu(x)", WIDE),
    unary("tanh", "Tanh(x)", WIDE),
    unary("clip_opset_6", "Clip<min = -1.5, max = 2.5>(x)", WIDE, opset=7),
    model("clip", "(float[5] x, float[] low, float[] high) => (float[5] y) { y = Clip(x, low, high) }",
          low=-1.0, high=2.0),
    model("double", "(double[4] x) => (double[4] y) { s = Sigmoid(x) y = Mul(s, x) }"),
    model("cast_to_i32", "(float[6] x) => (int32[6] y) { y = Cast<to = 6>(x) }", x=[-2.9, -0.5, 0.0, 0.5, 2.9, 100.0]),
    model("cast_to_bool", "(float[4] x) => (bool[4] y) { y = Cast<to = 9>(x) }", x=[-1.0, 0.0, 0.25, -0.0]),
    model("cast_from_bool", "(bool[3] x) => (float[3] y) { y = Cast<to = 1>(x) }", x=[True, False, True]),
    model("cast_narrows", "(int64[4] x) => (uint8[4] y) { y = Cast<to = 2>(x) }", x=[0, 255, 256, -1]),
    model("cast_to_double", "(int64[2] x) => (double[2] y) { y = Cast<to = 11>(x) }"),
    model("cast_like", "(int32[3] x, float[1] t) => (float[3] y) { y = CastLike(x, t) }"),
    model("equal", "(int64[2,3] a, int64[3] b) => (bool[2,3] y) { y = Equal(a, b) }", a=[[1, 2, 3], [3, 2, 1]], b=[1, 2, 9]),
    model("less", "(float[2,3] a, float[3] b) => (bool[2,3] y) { y = Less(a, b) }"),
    model("greater_or_equal", "(float[4] a, float[4] b) => (bool[4] y) { y = GreaterOrEqual(a, b) }",
          a=[1.0, 2.0, 3.0, -1.0], b=[1.0, 3.0, 2.0, -1.0]),
    model("logic", "(bool[4] a, bool[4] b) => (bool[4] p, bool[4] q, bool[4] r, bool[4] n)"
          " { p = And(a, b) q = Or(a, b) r = Xor(a, b) n = Not(a) }",
          a=[True, True, False, False], b=[True, False, True, False]),
    model("where", "(bool[2,1] c, float[3] a, float[2,3] b) => (float[2,3] y) { y = Where(c, a, b) }", c=[[True], [False]]),
]

SHAPE = [
    model("reshape_copies_and_infers", "(float[2,3,4] x, int64[3] ks) => (float[2,6,2] y) { y = Reshape(x, ks) }", ks=[0, -1, 2]),
    model("reshape_merges", "(float[2,3,4] x, int64[2] ks) => (float[8,3] y) { y = Reshape(x, ks) }", ks=[8, 3]),
    model("reshape_allows_zero", "(float[0,3] x, int64[2] ks) => (float[3,0] y) { y = Reshape<allowzero = 1>(x, ks) }", ks=[3, 0]),
    model("reshape_to_scalar", "(float[1,1] x, int64[0] ks) => (float[] y) { y = Reshape(x, ks) }", ks=np.zeros(0)),
    model("flatten", "(float[2,3,2] x) => (float[2,6] y) { y = Flatten(x) }"),
    model("flatten_axis_0", "(float[2,3,2] x) => (float[1,12] y) { y = Flatten<axis = 0>(x) }"),
    model("flatten_negative_axis", "(float[2,3,2] x) => (float[6,2] y) { y = Flatten<axis = -1>(x) }"),
    model("squeeze", "(float[1,3,1] x, int64[1] ka) => (float[1,3] y) { y = Squeeze(x, ka) }", ka=[-1]),
    model("squeeze_all", "(float[1,3,1] x) => (float[3] y) { y = Squeeze(x) }"),
    model("squeeze_opset_7", "(float[1,3,1] x) => (float[3,1] y) { y = Squeeze<axes = [0]>(x) }", 7),
    model("unsqueeze", "(float[3,2] x, int64[2] ka) => (float[3,1,2,1] y) { y = Unsqueeze(x, ka) }", ka=[-1, 1]),
    model("unsqueeze_opset_7", "(float[3] x) => (float[1,3] y) { y = Unsqueeze<axes = [0]>(x) }", 7),
    model("transpose", "(float[2,3,4] x) => (float[4,2,3] y) { y = Transpose<perm = [2, 0, 1]>(x) }"),
    model("transpose_reverses", "(float[2,3] x) => (float[3,2] y) { y = Transpose(x) }"),
    model("pad", "(float[2,3] x, int64[4] ka) => (float[3,6] y) { y = Pad(x, ka) }", ka=[0, 2, 1, 1]),
    model("pad_value", "(float[2,3] x, int64[4] ka, float[] kv) => (float[4,4] y) { y = Pad(x, ka, kv) }",
          ka=[1, 0, 1, 1], kv=-np.inf),
    model("pad_value_at_run_time", "(float[2,3] x, int64[4] ka, float[] v) => (float[4,4] y) { y = Pad(x, ka, v) }", ka=[1, 0, 1, 1]),
    model("pad_crops", "(float[3,4] x, int64[4] ka) => (float[2,5] y) { y = Pad(x, ka) }", ka=[-1, 1, 0, 0]),
    model("pad_axes", "(float[2,2,2] x, int64[2] ka, float[] kv, int64[1] kx) => (float[2,5,2] y) { y = Pad(x, ka, kv, kx) }",
          ka=[1, 2], kv=9.0, kx=[-2]),
    model("pad_reflect", '(float[3,4] x, int64[4] ka) => (float[6,8] y) { y = Pad<mode = "reflect">(x, ka) }', ka=[2, 1, 1, 3]),
    model("pad_edge", '(float[2,3] x, int64[4] ka) => (float[5,6] y) { y = Pad<mode = "edge">(x, ka) }', ka=[1, 0, 2, 3]),
    model("pad_wrap", '(float[2,3] x, int64[4] ka) => (float[5,6] y) { y = Pad<mode = "wrap">(x, ka) }', ka=[1, 2, 2, 1]),
    model("pad_opset_7", '(float[3] x) => (float[6] y) { y = Pad<pads = [1, 2], value = 0.5>(x) }', 7),
    model("pad_i32", "(int32[3] x, int64[2] ka, int32[] kv) => (int32[5] y) { y = Pad(x, ka, kv) }", ka=[1, 1], kv=7),
    model("concat", "(float[2,1] a, float[2,3] b, float[2,2] c) => (float[2,6] y) { y = Concat<axis = -1>(a, b, c) }"),
    model("concat_one", "(float[2,3] a) => (float[2,3] y) { y = Concat<axis = 0>(a) }"),
    model("split", "(float[2,6] x) => (float[2,3] a, float[2,3] b) { a, b = Split<axis = 1, num_outputs = 2>(x) }"),
    model("split_uneven", "(float[5] x) => (float[2] a, float[2] b, float[1] c) { a, b, c = Split<num_outputs = 3>(x) }"),
    model("split_sizes", "(float[5,2] x, int64[2] ks) => (float[4,2] a, float[1,2] b) { a, b = Split(x, ks) }", ks=[4, 1]),
    model("split_opset_7", "(float[2,4] x) => (float[2,1] a, float[2,3] b) { a, b = Split<axis = 1, split = [1, 3]>(x) }", 7),
    model("slice", "(float[4,5] x, int64[2] ks, int64[2] ke) => (float[2,3] y) { y = Slice(x, ks, ke) }", ks=[1, -4], ke=[3, -1]),
    model("slice_backwards", "(float[4,5] x, int64[1] ks, int64[1] ke, int64[1] ka, int64[1] kt) => (float[4,3] y)"
          " { y = Slice(x, ks, ke, ka, kt) }", ks=[100], ke=[-100], ka=[1], kt=[-2]),
    model("slice_empty", "(float[4] x, int64[1] ks, int64[1] ke) => (float[0] y) { y = Slice(x, ks, ke) }", ks=[3], ke=[1]),
    model("slice_clamps", "(float[4] x, int64[1] ks, int64[1] ke) => (float[2] y) { y = Slice(x, ks, ke) }", ks=[2], ke=[2**62]),
    model("slice_opset_7", "(float[3,4] x) => (float[3,2] y) { y = Slice<starts = [1], ends = [3], axes = [1]>(x) }", 7),
    model("identity", "(float[3] x) => (float[3] y, float[3] z) { y = Identity(x) z = Identity(y) }"),
    model("dropout", "(float[3] x) => (float[3] y) { d = Dropout(x) y = Relu(d) }"),
    model("constant_forms", "(float[2] x) => (float[2] y, int64[2] z) { a = Constant<value_float = 0.5>()"
          " b = Constant<value_floats = [1.0, 2.0]>() c = Constant<value_int = 3>() d = Constant<value_ints = [4, 5]>()"
          " e = Constant<value = float[2] {6.0, 7.0}>() p = Mul(x, a) q = Add(p, b) y = Add(q, e) z = Add(c, d) }"),
    model("gather_rows", "(float[4,3] x, int64[2,2] i) => (float[2,2,3] y) { y = Gather(x, i) }", i=[[0, -1], [3, 2]]),
    model("gather_axis", "(float[2,4] x, int32[3] ki) => (float[2,3] y) { y = Gather<axis = 1>(x, ki) }", ki=[3, 0, -4]),
    model("gather_one", "(float[2,4] x, int64[] ki) => (float[2] y) { y = Gather<axis = -1>(x, ki) }", ki=-2),
    model("expand", "(float[3,1] x, int64[3] ks) => (float[2,3,4] y) { y = Expand(x, ks) }", ks=[2, 1, 4]),
    model("tile", "(float[2,3] x, int64[2] kr) => (float[4,9] y) { y = Tile(x, kr) }", kr=[2, 3]),
    model("constant_of_shape", "(float[2] x, int64[2] ks) => (float[3,2] y)"
          " { f = ConstantOfShape<value = float[1] {1.5}>(ks) y = Add(f, x) }", ks=[3, 2]),
    model("range", "(float[4] x, float[] ka, float[] kb, float[] kd) => (float[4] y) { r = Range(ka, kb, kd) y = Add(x, r) }",
          ka=1.0, kb=2.9, kd=0.5),
    model("shape_arithmetic", "(float[2,3,4] x, int64[] ki, int64[1] kn, int64[1] kz) => (float[2,12] y)"
          " { s = Shape(x) b = Gather(s, ki) u = Unsqueeze(b, kz) t = Concat<axis = 0>(u, kn) y = Reshape(x, t) }",
          ki=0, kn=[-1], kz=[0]),
    model("shape_part", "(float[2,3,4] x) => (int64[2] y, int64[] n) { y = Shape<start = -2>(x) n = Size(x) }"),
]

BRANCH = "y = If(c) <then_branch = yes () => (float[2] p) {{ {} }}, else_branch = no () => (float[2] q) {{ {} }}>"

CONTROL_FLOW = [
    *(
        model(f"if_{value}".lower(), f"(bool c, float[2] x, float[2] z) => (float[2] y) {{ {BRANCH.format('p = Add(x, z)', 'q = Sub(x, x)')} }}",
              c=value)
        for value in (True, False)
    ),
    model("if_constant", "(bool kc, float[2] x) => (float[N] y) { y = If(kc) <then_branch = yes () => (float[2] p)"
          " { p = Neg(x) }, else_branch = no () => (float[4] q) { q = Concat<axis = 0>(x, x) }> }", kc=False),
    *(
        model(f"if_within_if_{first}_{second}".lower(),
              "(bool c, bool d, float[2] x) => (float[2] y) { h = Mul(x, x) y = If(c) <then_branch = outer () => (float[2] p)"
              " { p = If(d) <then_branch = inner () => (float[2] r) { r = Add(h, x) },"
              " else_branch = other () => (float[2] s) { s = Neg(h) }> }, else_branch = no () => (float[2] q) { q = Relu(x) }> }",
              c=first, d=second)
        for first, second in ((True, True), (True, False), (False, True))
    ),
    model("loop_sums", "(float[2] x, int64 kn) => (float[2] y, float[4,2] steps)"
          " { y, steps = Loop(kn, , x) <body = b (int64 i, bool c, float[2] s) => (bool d, float[2] t, float[2] o)"
          " { f = Cast<to = 1>(i) t = Add(s, f) o = Mul(t, x) d = Identity(c) }> }", kn=4),
    model("loop_without_state", "(float[2] x, int64 kn) => (float[3,2] steps)"
          " { kt = Constant<value = bool {1}>() steps = Loop(kn, kt) <body = b (int64 i, bool c) => (bool d, float[2] o)"
          " { f = Cast<to = 1>(i) o = Mul(x, f) d = Identity(c) }> }", kn=3),
    model("loop_until", "(float x, float limit, int64 kn) => (float y)"
          " { kt = Constant<value = bool {1}>() y = Loop(kn, kt, x) <body = b (int64 i, bool c, float s) => (bool d, float t)"
          " { t = Add(s, s) d = Less(t, limit) }> }", x=1.0, limit=20.0, kn=10),
    *(
        model(f"loop_starts_{value}".lower(), "(bool c0, float[2] x, int64 kn) => (float[2] y)"
              " { y = Loop(kn, c0, x) <body = b (int64 i, bool c, float[2] s) => (bool d, float[2] t)"
              " { t = Add(s, x) d = Identity(c) }> }", c0=value, kn=3)
        for value in (True, False)
    ),
    model("loop_swaps", "(float[2] a, float[2] b, int64 kn) => (float[2] p, float[2] q)"
          " { p, q = Loop(kn, , a, b) <body = l (int64 i, bool c, float[2] s, float[2] t) => (bool d, float[2] t2, float[2] s2)"
          " { t2 = Identity(t) s2 = Identity(s) d = Identity(c) }> }", kn=3),
    model("loop_within_loop", "(float[2] x, int64 kn) => (float[2] y)"
          " { y = Loop(kn, , x) <body = outer (int64 i, bool c, float[2] s) => (bool d, float[2] t)"
          " { t = Loop(kn, , s) <body = inner (int64 j, bool e, float[2] u) => (bool g, float[2] v)"
          " { w = Add(u, x) k = Cast<to = 1>(i) v = Add(w, k) g = Identity(e) }> d = Identity(c) }> }", kn=3),
    model("if_within_loop", "(float[2] x, int64 kn, int64 two) => (float[2] y)"
          " { y = Loop(kn, , x) <body = outer (int64 i, bool c, float[2] s) => (bool d, float[2] t)"
          " { a = Less(i, two) t = If(a) <then_branch = yes () => (float[2] p) { p = Add(s, x) },"
          " else_branch = no () => (float[2] q) { q = Mul(s, s) }> d = Identity(c) }> }", kn=4, two=2),
    model("loop_grows", "(float[2] x, int64 kn) => (float[N] y)"
          " { y = Loop(kn, , x) <body = b (int64 i, bool c, float[M] s) => (bool d, float[K] t)"
          " { t = Concat<axis = 0>(s, x) d = Identity(c) }> }", kn=3),
    model("loop_ended_by_its_counter", "(float[5] x, int64[1] kz) => (float[1] y)"
          " { kn = Constant<value_int = 9223372036854775807>() kt = Constant<value = bool {1}>() k0 = Constant<value = float[1] {0.0}>()"
          " three = Constant<value_int = 3>() one = Constant<value_int = 1>()"
          " y = Loop(kn, kt, k0) <body = b (int64 i, bool c, float[1] s) => (bool d, float[1] t)"
          " { a = Unsqueeze(i, kz) m = Add(i, one) e = Unsqueeze(m, kz) p = Slice(x, a, e) t = Add(s, p) d = Less(i, three) }> }", kz=[0]),
    model("scan_sums", "(float[2] h, float[4,2] x) => (float[2] y, float[4,2] z)"
          " { y, z = Scan(h, x) <num_scan_inputs = 1, body = b (float[2] s, float[2] p) => (float[2] t, float[2] o)"
          " { t = Add(s, p) o = Mul(t, p) }> }"),
    model("scan_axes_and_directions", "(float[2] h, float[2,3] x, float[3,2] w) => (float[2] y, float[2,3] z)"
          " { y, z = Scan(h, x, w) <num_scan_inputs = 2, scan_input_axes = [1, 0], scan_input_directions = [1, 0],"
          " scan_output_axes = [-1], scan_output_directions = [1],"
          " body = b (float[2] s, float[2] p, float[2] q) => (float[2] t, float[2] o)"
          " { m = Mul(p, q) t = Add(s, m) o = Sub(t, h) }> }"),
    model("scan_of_a_batch", "(float[2,2] h, float[2,3,2] x) => (float[2,2] y, float[2,3,2] z)"
          " { y, z = Scan(, h, x) <num_scan_inputs = 1, directions = [1], body = b (float[2] s, float[2] p) => (float[2] t, float[2] o)"
          " { t = Add(s, p) o = Mul(t, p) }> }", 8),
    model("scan_without_state", "(float[3,2] x) => (float[3] z)"
          " { z = Scan(x) <num_scan_inputs = 1, body = b (float[2] p) => (float o)"
          " { ki = Constant<value_int = 0>() kj = Constant<value_int = 1>() a = Gather(p, ki) c = Gather(p, kj) o = Mul(a, c) }> }"),
]


def binary(code, activation="NONE", right=Input, options=None):
    """A case of an operator on two operands."""
    operands = [Input((2, 1, 3)), right((4, 1))]
    fields = {"fusedActivationFunction": getattr(ActivationFunctionType, activation)} if options else {}
    return Operator(f"{code.lower()}_{activation.lower()}", code, operands, options, fields)


def positive(generator, shape):
    """Where roots, logarithms and powers are defined."""
    return generator.uniform(0.1, 4.0, shape).astype(np.float32)


def one(code, draw=None, options=None, name=None, **fields):
    """A case of an operator on one operand."""
    operand = Input((3, 4), draw) if draw else Input((3, 4))
    return Operator(name or code.lower(), code, [operand], options, fields)


def integers(*values, dtype=np.int32):
    """A constant vector."""
    return Parameter(np.array(values, dtype))


TFLITE_ELEMENTWISE = [
    binary("ADD", "RELU6", options="AddOptions"),
    binary("SUB", "RELU", options="SubOptions"),
    binary("MUL", "RELU_N1_TO_1", options="MulOptions"),
    binary("DIV", "RELU6", options="DivOptions"),
    binary("SUB", right=Weight, options="SubOptions"),
    binary("SQUARED_DIFFERENCE"),
    binary("MAXIMUM"),
    binary("MINIMUM"),
    Operator("pow", "POW", [Input((3,), positive), Input((2, 3))], "PowOptions"),
    Operator("prelu", "PRELU", [Input((2, 3, 2)), Weight((1, 1, 2))]),
    *(one(code) for code in ("ABS", "NEG", "EXP", "LOGISTIC", "TANH", "HARD_SWISH", "ELU", "SQUARE", "RELU", "RELU6")),
    *(one(code, positive) for code in ("SQRT", "RSQRT", "LOG")),
    one("LEAKY_RELU", options="LeakyReluOptions", alpha=0.125),
    one("GELU", options="GeluOptions", name="gelu", approximate=False),
    one("GELU", options="GeluOptions", name="gelu_approximate", approximate=True),
]

TFLITE_SHAPE = [
    Operator("reshape", "RESHAPE", [Input((2, 6)), integers(3, -1)], "ReshapeOptions", {"newShape": [3, 4]}),
    Operator("reshape_by_option", "RESHAPE", [Input((2, 6))], "ReshapeOptions", {"newShape": [3, 4]}),
    Operator("squeeze", "SQUEEZE", [Input((1, 3, 1))], "SqueezeOptions", {"squeezeDims": [-1]}),
    Operator("squeeze_all", "SQUEEZE", [Input((1, 3, 1))], "SqueezeOptions", {"squeezeDims": []}),
    Operator("expand_dims", "EXPAND_DIMS", [Input((2, 3)), Parameter(np.array(-1, np.int32))], "ExpandDimsOptions"),
    Operator("transpose", "TRANSPOSE", [Input((2, 3, 4)), integers(1, 2, 0)], "TransposeOptions"),
    Operator("pad", "PAD", [Input((2, 3)), Parameter(np.array([[1, 0], [2, 1]], np.int32))], "PadOptions"),
    Operator("padv2", "PADV2", [Input((2, 3)), Parameter(np.array([[0, 1], [1, 1]], np.int32)),
             Parameter(np.array(-2.5, np.float32))], "PadV2Options"),
    *(
        Operator(f"mirror_pad_{name}", "MIRROR_PAD", [Input((2, 4)), Parameter(np.array([[1, 1], [2, 1]], np.int32))],
                 "MirrorPadOptions", {"mode": mode})
        for name, mode in (("reflect", MirrorPadMode.REFLECT), ("symmetric", MirrorPadMode.SYMMETRIC))
    ),
    Operator("concatenation", "CONCATENATION", [Input((2, 1)), Input((2, 3))], "ConcatenationOptions",
             {"axis": -1}),
    Operator("split", "SPLIT", [Parameter(np.array(1, np.int32)), Input((2, 6))], "SplitOptions", {"numSplits": 3}, outputs=3),
    Operator("split_v", "SPLIT_V", [Input((5, 2)), integers(1, -1), Parameter(np.array(0, np.int32))], "SplitVOptions",
             {"numSplits": 2}, outputs=2),
    Operator("pack", "PACK", [Input((2, 3)), Input((2, 3))], "PackOptions", {"valuesCount": 2, "axis": -2}),
    Operator("unpack", "UNPACK", [Input((2, 3, 2))], "UnpackOptions", {"num": 3, "axis": 1}, outputs=3),
    Operator("slice", "SLICE", [Input((4, 5)), integers(1, 2), integers(2, -1)], "SliceOptions"),
    *(
        Operator(f"strided_slice_{name}", "STRIDED_SLICE", [Input((4, 3, 5)), integers(*begin), integers(*end), integers(*stride)],
                 "StridedSliceOptions", fields)
        for name, begin, end, stride, fields in (
            ("plain", (1, 0, 1), (3, 3, 5), (1, 2, 2), {}),
            ("masked", (1, 1, 1), (3, 2, 3), (1, 1, 1), {"beginMask": 1, "endMask": 2}),
            ("backwards", (3, 2, -1), (0, 0, -4), (-1, -1, -2), {}),
            ("backwards_masked", (0, 0, 0), (0, 0, 0), (-1, 1, -2), {"beginMask": 7, "endMask": 7}),
            ("shrinks", (2, 0, -1), (3, 3, 0), (1, 1, 1), {"shrinkAxisMask": 5}),
            ("ellipsis", (0, 1), (0, 4), (1, 2), {"ellipsisMask": 1}),
            ("new_axis", (0, 1, 0), (0, 3, 0), (1, 1, 1), {"newAxisMask": 1, "ellipsisMask": 4}),
        )
    ),
    Operator("gather", "GATHER", [Input((4, 3)), integers(3, 0, 3)], "GatherOptions", {"axis": 0}),
    Operator("gather_batch", "GATHER", [Input((2, 4, 3)), Parameter(np.array([[3, 0], [1, 1]], np.int32))], "GatherOptions",
             {"axis": 1, "batchDims": 1}),
    Operator("tile", "TILE", [Input((2, 3)), integers(2, 1)], "TileOptions"),
]
