//! Options of built-in operators as attributes.

use nablac_graph::source::SourceAttribute::{self, Float, Int, Ints};

use super::*;

/// The attributes that options of this number and these fields become, printed.
fn attributes(number: i32, tag: u8, fields: Vec<(usize, Value)>) -> Vec<(String, String)> {
    let source = changed(|m| {
        m.codes[1] = code(number);
        m.main().operators[1] = operator(1, &[2], &[3], vec![(3, U8(tag)), (4, table(fields))]);
    });
    printed(source.unwrap().nodes[1].attributes.iter().map(|(name, value)| (name.as_str(), value.clone())))
}

fn printed<'a>(list: impl IntoIterator<Item = (&'a str, SourceAttribute)>) -> Vec<(String, String)> {
    let mut printed: Vec<_> =
        list.into_iter().map(|(name, value)| (name.to_string(), format!("{value:?}"))).collect();
    printed.sort();
    printed
}

#[test]
fn fields_have_the_schemas_names_and_defaults() {
    let given = vec![(0, I8(1)), (1, I32(2)), (2, I32(3)), (3, I8(3)), (5, I32(4))];
    let expected = [
        ("padding", Int(1)),
        ("stride_w", Int(2)),
        ("stride_h", Int(3)),
        ("fused_activation_function", Int(3)),
        ("dilation_w_factor", Int(1)),
        ("dilation_h_factor", Int(4)),
        ("quantized_bias_type", Int(0)),
    ];
    assert_eq!(attributes(3, 1, given), printed(expected));
    let softmax = [("beta", Float(1.0))];
    assert_eq!(attributes(25, 9, vec![(0, F32(1.0))]), printed(softmax));
    let pool = [
        ("padding", Int(0)),
        ("stride_w", Int(0)),
        ("stride_h", Int(0)),
        ("filter_width", Int(5)),
        ("filter_height", Int(25)),
        ("fused_activation_function", Int(0)),
    ];
    assert_eq!(attributes(1, 5, vec![(3, I32(5)), (4, I32(25))]), printed(pool));
    assert_eq!(attributes(22, 17, vec![(0, I32s(vec![1, -1]))]), printed([("new_shape", Ints(vec![1, -1]))]));
    assert_eq!(attributes(22, 17, vec![]), []);
    assert_eq!(attributes(100, 77, vec![(0, I8(1))]), printed([("mode", Int(1))]));
    let random = [("seed", Int(i64::MIN)), ("seed2", Int(0))];
    assert_eq!(attributes(146, 114, vec![(0, I64(i64::MIN))]), printed(random));
    let resize = [("align_corners", Int(0)), ("half_pixel_centers", Int(1))];
    assert_eq!(attributes(23, 15, vec![(0, I32(9)), (3, U8(7))]), printed(resize));
    let sequence = attributes(52, 69, vec![]);
    assert!(sequence.contains(&("time_major".into(), format!("{:?}", Int(1)))));
}

#[test]
fn an_operator_without_options_has_no_attributes() {
    assert!(small().import().unwrap().nodes[1].attributes.is_empty());
    let without_table = changed(|m| m.main().operators[1] = operator(1, &[2], &[3], vec![(3, U8(1))]));
    assert!(without_table.unwrap().nodes[1].attributes.is_empty());
    assert_eq!(attributes(39, 26, vec![]), []);
}

#[test]
fn options_of_a_newer_schema_are_unsupported() {
    let result =
        changed(|m| m.main().operators[1] = operator(1, &[2], &[3], vec![(3, U8(127)), (4, table(vec![]))]));
    assert_fails(result, Fault::Unsupported, &["`RELU_1`", "127"]);
}

#[test]
fn the_table_is_in_order_and_complete() {
    use crate::operators::{CUSTOM, OPERATORS};
    use crate::options::OPTIONS;
    assert_eq!(
        (OPERATORS.len(), OPERATORS[CUSTOM], OPERATORS[127]),
        (210, "CUSTOM", "PLACEHOLDER_FOR_GREATER_OP_CODES")
    );
    assert!(OPTIONS.windows(2).all(|pair| pair[0].tag < pair[1].tag));
    let mut names: Vec<&str> = OPERATORS.to_vec();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), OPERATORS.len());
}
