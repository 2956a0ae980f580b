//! How the frameworks say what a resize samples.

use super::{Mode, Resize};
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;

/// TFLite resizes the two axes of images, to the extents of its second input.
pub(super) fn tflite(node: &mut Reader, x: ValueId) -> Result<Resize, Error> {
    let from = node.shape(x);
    let &[batch, height, width, channels] = &from[..] else {
        return Err(node.malformed(format!("an image of shape {from:?}")));
    };
    let sizes = node.constant(1)?.to_i64();
    let [Some(rows), Some(columns)] = [0, 1].map(|d| sizes.get(d).and_then(|&n| extent(n))) else {
        return Err(node.malformed(format!("sizes of {sizes:?}")));
    };
    let corners = node.int("align_corners", 0)? != 0;
    let half_pixel = node.int("half_pixel_centers", 0)? != 0;
    if corners && half_pixel {
        return Err(node.malformed("it aligns corners and the middles of pixels"));
    }
    let step = |n: usize, to: usize| match corners && to > 1 {
        true => f64::from((n as f32 - 1.0) / (to as f32 - 1.0)),
        false => f64::from(n as f32 / to as f32),
    };
    let mode = match (node.operator(), corners || half_pixel) {
        ("RESIZE_BILINEAR", _) => Mode::Linear,
        (_, true) => Mode::HalfUp,
        (_, false) => Mode::Floor,
    };
    let steps = vec![1.0, step(height, rows), step(width, columns), 1.0];
    Ok(Resize { shape: vec![batch, rows, columns, channels], steps, half_pixel, mode })
}

fn extent(n: i64) -> Option<usize> {
    usize::try_from(n).ok().filter(|&n| n > 0)
}

/// ONNX gives scales or sizes, for all axes or some.
pub(super) fn onnx(node: &mut Reader, x: ValueId) -> Result<Resize, Error> {
    let from = node.shape(x);
    let old = node.operator() == "Upsample" || node.version() < 11;
    let coordinates = match old {
        true => "asymmetric".into(),
        false => node.text("coordinate_transformation_mode", "half_pixel")?,
    };
    let mode = mode(node, old)?;
    if node.int("antialias", 0)? != 0 {
        return Err(node.unsupported("antialiasing: blur the input before"));
    }
    let axes = match node.ints("axes")? {
        Some(axes) => node.axes(&axes, from.len())?,
        None => (0..from.len()).collect(),
    };
    let (shape, scales) = extents(node, &from, &axes, old)?;
    let half_pixel = coordinates.ends_with("half_pixel");
    let step = |d: usize| match coordinates.as_str() {
        "half_pixel" | "asymmetric" => Ok(1.0 / scales[d]),
        // A single element stands where the first does.
        "pytorch_half_pixel" if shape[d] > 1 => Ok(1.0 / scales[d]),
        "pytorch_half_pixel" => Ok(1.0),
        "align_corners" if shape[d] > 1 => Ok((from[d] as f64 - 1.0) / (from[d] as f64 * scales[d] - 1.0)),
        "align_corners" => Ok(0.0),
        other => Err(node.unsupported(format!("coordinates by `{other}`: export another mode"))),
    };
    let steps = (0..from.len()).map(step).collect::<Result<Vec<f64>, Error>>()?;
    Ok(Resize { shape, steps, half_pixel, mode })
}

fn mode(node: &Reader, old: bool) -> Result<Mode, Error> {
    let nearest = if old { "floor".into() } else { node.text("nearest_mode", "round_prefer_floor")? };
    match (node.text("mode", "nearest")?.as_str(), nearest.as_str()) {
        ("linear" | "bilinear", _) => Ok(Mode::Linear),
        ("nearest", "floor") => Ok(Mode::Floor),
        ("nearest", "ceil") => Ok(Mode::Ceil),
        ("nearest", "round_prefer_floor") => Ok(Mode::HalfDown),
        ("nearest", "round_prefer_ceil") => Ok(Mode::HalfUp),
        (mode, _) => Err(node.unsupported(format!("mode `{mode}`: export `nearest` or `linear`"))),
    }
}

/// The extents of the result, and how much larger they are.
fn extents(
    node: &mut Reader,
    from: &[usize],
    axes: &[usize],
    old: bool,
) -> Result<(Vec<usize>, Vec<f64>), Error> {
    let (mut shape, mut scales) = (from.to_vec(), vec![1.0; from.len()]);
    let given = match node.raw("scales") {
        Some(crate::source::SourceAttribute::Floats(scales)) => scales.clone(),
        _ => node.optional_constant(if old { 1 } else { 2 })?.map(|a| a.to_f64()).unwrap_or_default(),
    };
    let sizes = if old { None } else { node.optional_constant(3)?.map(|sizes| sizes.to_i64()) };
    let count = sizes.as_ref().filter(|sizes| !sizes.is_empty()).map_or(given.len(), Vec::len);
    if count != axes.len() {
        return Err(node.malformed(format!("{count} scales or sizes for {} axes", axes.len())));
    }
    if node.text("keep_aspect_ratio_policy", "stretch")? != "stretch" {
        return Err(node.unsupported("sizes by a policy of aspect ratios: give the sizes themselves"));
    }
    for (position, &axis) in axes.iter().enumerate() {
        let n = from[axis] as f64;
        match sizes.as_ref().and_then(|sizes| sizes.get(position)) {
            Some(&size) => {
                shape[axis] = extent(size).ok_or_else(|| node.malformed(format!("a size of {size}")))?;
                scales[axis] = shape[axis] as f64 / n.max(1.0);
            }
            None => {
                scales[axis] = given[position];
                let extent = (n * given[position]).floor();
                if !(given[position] > 0.0 && (1.0..1e12).contains(&extent)) {
                    return Err(node.malformed(format!("a scale of {}", given[position])));
                }
                shape[axis] = extent as usize;
            }
        }
    }
    Ok((shape, scales))
}
