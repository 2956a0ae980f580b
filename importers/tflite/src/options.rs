//! The options of built-in operators: `BuiltinOptions` and its tables.
//!
//! Owns the schema's table of options, and turns an operator's options into attributes under the schema's own field
//! names. A field that the file leaves out has the schema's default; an operator without options has no attributes.

use nablac_graph::source::SourceAttribute;

use crate::Error;
use crate::flatbuffer::Table;

/// How a field is stored. The names are the schema's, lower case for the table below.
#[allow(non_camel_case_types)] // they are written as the schema's field types in the table
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Kind {
    bool,
    int8,
    int32,
    int64,
    float32,
    text,
    uint8s,
    int32s,
    float32s,
    /// The index of a subgraph; the attribute is the graph itself.
    subgraph,
}

/// One field; its position in the table is its slot.
pub(crate) struct Field {
    /// The schema's name; `_` for a field that is no longer in use.
    pub name: &'static str,
    pub kind: Kind,
    /// The value of a field that the file leaves out.
    pub default: i64,
}

/// One table of options.
pub(crate) struct Options {
    /// The enumerator of `BuiltinOptions`.
    pub tag: u8,
    /// The table's name.
    pub name: &'static str,
    pub fields: &'static [Field],
}

/// The last enumerator of `BuiltinOptions`. Those between that are not in the table have no fields.
const LAST_TAG: u8 = 126;

macro_rules! options { ($($tag:literal $Name:ident { $($field:tt: $kind:ident $(= $default:literal)?),* })*) => {
    /// Every table of options that has fields, in the order of their enumerators.
    pub(crate) const OPTIONS: &[Options] = &[$(Options {
        tag: $tag,
        name: concat!(stringify!($Name), "Options"),
        fields: &[$(Field { name: stringify!($field), kind: Kind::$kind, default: 0 $(+ $default)? }),*],
    }),*];
} }

options! {
      1 Conv2D                      { padding: int8, stride_w: int32, stride_h: int32,
                                      fused_activation_function: int8, dilation_w_factor: int32 = 1,
                                      dilation_h_factor: int32 = 1, quantized_bias_type: int8 }
      2 DepthwiseConv2D             { padding: int8, stride_w: int32, stride_h: int32, depth_multiplier: int32,
                                      fused_activation_function: int8, dilation_w_factor: int32 = 1,
                                      dilation_h_factor: int32 = 1 }
      3 ConcatEmbeddings            { num_channels: int32, num_columns_per_channel: int32s,
                                      embedding_dim_per_channel: int32s }
      4 LSHProjection               { type: int8 }
      5 Pool2D                      { padding: int8, stride_w: int32, stride_h: int32, filter_width: int32,
                                      filter_height: int32, fused_activation_function: int8 }
      6 SVDF                        { rank: int32, fused_activation_function: int8,
                                      asymmetric_quantize_inputs: bool }
      7 RNN                         { fused_activation_function: int8, asymmetric_quantize_inputs: bool }
      8 FullyConnected              { fused_activation_function: int8, weights_format: int8,
                                      keep_num_dims: bool, asymmetric_quantize_inputs: bool,
                                      quantized_bias_type: int8, quant_spec: uint8s }
      9 Softmax                     { beta: float32 }
     10 Concatenation               { axis: int32, fused_activation_function: int8 }
     11 Add                         { fused_activation_function: int8, pot_scale_int16: bool = 1 }
     12 L2Norm                      { fused_activation_function: int8 }
     13 LocalResponseNormalization  { radius: int32, bias: float32, alpha: float32, beta: float32 }
     14 LSTM                        { fused_activation_function: int8, cell_clip: float32, proj_clip: float32,
                                      kernel_type: int8, asymmetric_quantize_inputs: bool }
     15 ResizeBilinear              { _: int32, _: int32, align_corners: bool, half_pixel_centers: bool }
     16 Call                        { subgraph: subgraph }
     17 Reshape                     { new_shape: int32s }
     18 SkipGram                    { ngram_size: int32, max_skip_size: int32, include_all_ngrams: bool }
     19 SpaceToDepth                { block_size: int32 }
     20 EmbeddingLookupSparse       { combiner: int8 }
     21 Mul                         { fused_activation_function: int8 }
     23 Gather                      { axis: int32, batch_dims: int32 }
     27 Reducer                     { keep_dims: bool }
     28 Sub                         { fused_activation_function: int8, pot_scale_int16: bool = 1 }
     29 Div                         { fused_activation_function: int8 }
     30 Squeeze                     { squeeze_dims: int32s }
     31 SequenceRNN                 { time_major: bool, fused_activation_function: int8,
                                      asymmetric_quantize_inputs: bool }
     32 StridedSlice                { begin_mask: int32, end_mask: int32, ellipsis_mask: int32,
                                      new_axis_mask: int32, shrink_axis_mask: int32, offset: bool }
     35 Split                       { num_splits: int32 }
     37 Cast                        { in_data_type: int8, out_data_type: int8 }
     40 ArgMax                      { output_type: int8 }
     49 TransposeConv               { padding: int8, stride_w: int32, stride_h: int32,
                                      fused_activation_function: int8, quantized_bias_type: int8 }
     50 SparseToDense               { validate_indices: bool }
     55 Shape                       { out_type: int8 }
     57 ArgMin                      { output_type: int8 }
     58 FakeQuant                   { min: float32, max: float32, num_bits: int32, narrow_range: bool }
     59 Pack                        { values_count: int32, axis: int32 }
     61 OneHot                      { axis: int32 }
     64 Unpack                      { num: int32, axis: int32 }
     69 BidirectionalSequenceLSTM   { fused_activation_function: int8, cell_clip: float32, proj_clip: float32,
                                      merge_outputs: bool, time_major: bool = 1,
                                      asymmetric_quantize_inputs: bool }
     70 BidirectionalSequenceRNN    { time_major: bool, fused_activation_function: int8, merge_outputs: bool,
                                      asymmetric_quantize_inputs: bool }
     71 UnidirectionalSequenceLSTM  { fused_activation_function: int8, cell_clip: float32, proj_clip: float32,
                                      time_major: bool, asymmetric_quantize_inputs: bool,
                                      diagonal_recurrent_tensors: bool }
     74 ResizeNearestNeighbor       { align_corners: bool, half_pixel_centers: bool }
     75 LeakyRelu                   { alpha: float32 }
     77 MirrorPad                   { mode: int8 }
     79 SplitV                      { num_splits: int32 }
     80 Unique                      { idx_out_type: int8 = 2 }
     87 ReverseSequence             { seq_dim: int32, batch_dim: int32 }
     92 If                          { then_subgraph_index: subgraph, else_subgraph_index: subgraph }
     93 While                       { cond_subgraph_index: subgraph, body_subgraph_index: subgraph }
     94 DepthToSpace                { block_size: int32 }
    101 BatchMatMul                 { adj_x: bool, adj_y: bool, asymmetric_quantize_inputs: bool }
    102 Cumsum                      { exclusive: bool, reverse: bool }
    103 CallOnce                    { init_subgraph_index: subgraph }
    106 Conv3D                      { padding: int8, stride_d: int32, stride_w: int32, stride_h: int32,
                                      fused_activation_function: int8, dilation_d_factor: int32 = 1,
                                      dilation_w_factor: int32 = 1, dilation_h_factor: int32 = 1 }
    107 Hashtable                   { table_id: int32, key_dtype: int8, value_dtype: int8 }
    111 VarHandle                   { container: text, shared_name: text }
    114 Random                      { seed: int64, seed2: int64 }
    115 Bucketize                   { boundaries: float32s }
    116 Gelu                        { approximate: bool }
}

/// The table of options with this enumerator; nothing when it has no fields.
pub(crate) fn options(tag: u8) -> Result<Option<&'static Options>, u8> {
    if tag > LAST_TAG {
        return Err(tag);
    }
    Ok(OPTIONS.iter().find(|options| options.tag == tag))
}

/// One field of a table of options as an attribute; nothing for a list or text that the file leaves out, and for
/// the index of a subgraph, which is the importer's to read.
pub(crate) fn attribute(table: &Table, slot: usize, field: &Field) -> Result<Option<SourceAttribute>, Error> {
    let default = field.default;
    Ok(match field.kind {
        Kind::bool => Some(SourceAttribute::Int((table.int8(slot, default as i8)? != 0) as i64)),
        Kind::int8 => Some(SourceAttribute::Int(table.int8(slot, default as i8)? as i64)),
        Kind::int32 => Some(SourceAttribute::Int(table.int32(slot, default as i32)? as i64)),
        Kind::int64 => Some(SourceAttribute::Int(table.int64(slot, default)?)),
        Kind::float32 => Some(SourceAttribute::Float(table.float32(slot, default as f32)? as f64)),
        Kind::text => table.text(slot)?.map(|text| SourceAttribute::Text(text.into())),
        Kind::uint8s => {
            let bytes = table.bytes(slot)?;
            bytes.map(|bytes| SourceAttribute::Ints(bytes.iter().map(|&b| b as i64).collect()))
        }
        Kind::int32s => {
            let list = table.int32s(slot)?;
            list.map(|list| SourceAttribute::Ints(list.into_iter().map(i64::from).collect()))
        }
        Kind::float32s => {
            let list = table.float32s(slot)?;
            list.map(|list| SourceAttribute::Floats(list.into_iter().map(f64::from).collect()))
        }
        Kind::subgraph => None,
    })
}
