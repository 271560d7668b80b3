//! What events, the config and the run's facts are as values of TensorBoard's plugins. Writing them is `tensorboard`'s.

use std::collections::HashMap;

use protobuf::well_known_types::Value;
use protobuf::{Message, RepeatedField};
use tensorboard_proto::api::Status;
use tensorboard_proto::plugin_hparams::{HParamsPluginData, SessionEndInfo, SessionStartInfo};
use tensorboard_proto::summary::{HistogramProto, Summary_Value, SummaryMetadata};
use tensorboard_proto::tensor::TensorProto;
use tensorboard_proto::tensor_shape::{TensorShapeProto, TensorShapeProto_Dim};
use tensorboard_proto::types::DataType;

use crate::{Event, Histogram, Outcome};

/// What `event`, of the moment `wall_time`, has to show.
pub(crate) fn of_event(event: &Event, wall_time: f64) -> Vec<Summary_Value> {
    match event {
        Event::Step {
            epoch,
            loss,
            set_losses,
            learning_rate,
            grad_norm,
            examples_per_second,
            tokens_per_second,
            memory,
            ..
        } => {
            let mut values = [
                ("loss", loss),
                ("learning_rate", learning_rate),
                ("grad_norm", grad_norm),
                ("epoch", epoch),
                ("examples_per_second", examples_per_second),
                ("tokens_per_second", tokens_per_second),
            ]
            .map(|(name, value)| scalar(&format!("train/{name}"), *value))
            .to_vec();
            values.extend(set_losses.iter().map(|(set, loss)| scalar(&format!("train/loss_{set}"), *loss)));
            values.extend(memory.map(|bytes| scalar("train/memory_bytes", bytes as f64)));
            values
        }
        Event::Evaluated { scores, metric, best, .. } => {
            let eval = scores.iter().map(|(name, score)| scalar(&format!("eval/{name}"), *score));
            let best = scores.get(metric).filter(|_| *best);
            eval.chain(best.map(|score| scalar(&format!("best/{metric}"), *score))).collect()
        }
        Event::Similarities { set, positive, hardest_negative, .. } => {
            let tag = |name| {
                if set.is_empty() { format!("similarity/{name}") } else { format!("similarity/{set}_{name}") }
            };
            let sides = [("positive", positive), ("hardest_negative", hardest_negative)];
            sides.into_iter().filter_map(|(name, values)| histogram(&tag(name), values)).collect()
        }
        // A value that is there keeps its first content, also when the run is resumed: what may yet change is not said.
        Event::Finished { outcome: Outcome::Completed | Outcome::EarlyStopped, .. } => {
            vec![session_end(wall_time)]
        }
        Event::Started { .. }
        | Event::WorstQueries { .. }
        | Event::Mining { .. }
        | Event::Mined { .. }
        | Event::Saved { .. }
        | Event::Warned { .. }
        | Event::Finished { .. } => Vec::new(),
    }
}

/// A number.
pub(crate) fn scalar(tag: &str, value: f64) -> Summary_Value {
    let mut entry = tagged(tag);
    entry.set_simple_value(value as f32);
    entry
}

/// A histogram, from its first to its last bin that holds something; none of no values.
fn histogram(tag: &str, values: &Histogram) -> Option<Summary_Value> {
    let first = values.counts.iter().position(|count| *count > 0)?;
    let last = values.counts.iter().rposition(|count| *count > 0)?;
    let width = (values.high - values.low) / values.counts.len() as f64;
    let edge = |bin: usize| values.low + width * bin as f64;
    let total = values.counts.iter().sum::<u64>() as f64;
    let mut proto = HistogramProto::new();
    proto.set_min(edge(first));
    proto.set_max(edge(last + 1));
    proto.set_num(total);
    proto.set_sum(values.mean * total);
    proto.set_sum_squares(values.mean_square * total);
    proto.set_bucket_limit((first..=last).map(|bin| edge(bin + 1)).collect());
    proto.set_bucket(values.counts[first..=last].iter().map(|count| *count as f64).collect());
    let mut entry = tagged(tag);
    entry.set_histo(proto);
    Some(entry)
}

/// A text that TensorBoard shows as code, written in `language`.
pub(crate) fn code(tag: &str, language: &str, content: &str) -> Summary_Value {
    let markdown = format!("```{language}\n{}\n```", content.trim_end());
    let mut one = TensorShapeProto_Dim::new();
    one.set_size(1);
    let mut shape = TensorShapeProto::new();
    shape.set_dim(RepeatedField::from_vec(vec![one]));
    let mut tensor = TensorProto::new();
    tensor.set_dtype(DataType::DT_STRING);
    tensor.set_tensor_shape(shape);
    tensor.set_string_val(RepeatedField::from_vec(vec![markdown.into_bytes()]));
    let mut entry = of_plugin(tag, "text", Vec::new());
    entry.set_tensor(tensor);
    entry
}

/// The run's row in the table of hyperparameters: every key of `config`. The columns of scores are the scalars that
/// all runs have, since no experiment is declared: TensorBoard would take that of one run for all of them.
pub(crate) fn session_start(config: &toml::Table, wall_time: f64) -> Summary_Value {
    let mut hparams = HashMap::new();
    flatten("", config, &mut hparams);
    let mut start = SessionStartInfo::new();
    start.set_hparams(hparams);
    start.set_start_time_secs(wall_time);
    let mut data = HParamsPluginData::new();
    data.set_session_start_info(start);
    hparams_value("_hparams_/session_start_info", &data)
}

fn session_end(wall_time: f64) -> Summary_Value {
    let mut end = SessionEndInfo::new();
    end.set_status(Status::STATUS_SUCCESS);
    end.set_end_time_secs(wall_time);
    let mut data = HParamsPluginData::new();
    data.set_session_end_info(end);
    hparams_value("_hparams_/session_end_info", &data)
}

/// Keys with their tables in front, as in `train.learning_rate`; a list is one text.
fn flatten(prefix: &str, table: &toml::Table, hparams: &mut HashMap<String, Value>) {
    for (key, value) in table {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        let mut entry = Value::new();
        match value {
            toml::Value::Table(inner) => {
                flatten(&name, inner, hparams);
                continue;
            }
            toml::Value::Float(number) => entry.set_number_value(*number),
            toml::Value::Integer(number) => entry.set_number_value(*number as f64),
            toml::Value::Boolean(yes) => entry.set_bool_value(*yes),
            toml::Value::String(text) => entry.set_string_value(text.clone()),
            toml::Value::Array(_) | toml::Value::Datetime(_) => entry.set_string_value(value.to_string()),
        }
        hparams.insert(name, entry);
    }
}

fn hparams_value(tag: &str, data: &HParamsPluginData) -> Summary_Value {
    let content = data.write_to_bytes().expect("this is a bug: no field of the message is required");
    of_plugin(tag, "hparams", content)
}

fn of_plugin(tag: &str, plugin: &str, content: Vec<u8>) -> Summary_Value {
    let mut metadata = SummaryMetadata::new();
    metadata.mut_plugin_data().set_plugin_name(plugin.to_owned());
    metadata.mut_plugin_data().set_content(content);
    let mut entry = tagged(tag);
    entry.set_metadata(metadata);
    entry
}

fn tagged(tag: &str) -> Summary_Value {
    let mut entry = Summary_Value::new();
    entry.set_tag(tag.to_owned());
    entry
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn scores_are_tagged_as_evaluation_and_the_best_by_itself() {
        let event = |best| Event::Evaluated {
            step: 1,
            epoch: 0.0,
            scores: BTreeMap::from([("map@100".to_owned(), 0.25), ("ndcg@10".to_owned(), 0.5)]),
            metric: "ndcg@10".into(),
            best,
            elapsed_seconds: 0.0,
        };
        let tags = |event: &Event| {
            of_event(event, 0.0).iter().map(|value| value.get_tag().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(tags(&event(false)), ["eval/map@100", "eval/ndcg@10"]);
        assert_eq!(tags(&event(true)), ["eval/map@100", "eval/ndcg@10", "best/ndcg@10"]);
        assert_eq!(of_event(&event(true), 0.0)[2].get_simple_value(), 0.5);
    }

    #[test]
    fn the_loss_of_each_set_has_a_tag_of_its_own() {
        let mut step = crate::made_up::step(1);
        let Event::Step { set_losses, .. } = &mut step else { panic!() };
        set_losses.insert("search".to_owned(), 0.5);
        let values = of_event(&step, 0.0);
        let of_set = values.iter().find(|value| value.get_tag() == "train/loss_search").unwrap();
        assert_eq!(of_set.get_simple_value(), 0.5);
    }

    #[test]
    fn a_histogram_reaches_from_its_first_to_its_last_value() {
        let values = Histogram::of_cosines([-0.4, 0.1, 0.2, 0.7], 4);
        let value = histogram("x", &values).unwrap();
        let proto = value.get_histo();
        assert_eq!((proto.get_min(), proto.get_max(), proto.get_num()), (-0.5, 1.0, 4.0));
        assert_eq!(proto.get_bucket_limit(), [0.0, 0.5, 1.0]);
        assert_eq!(proto.get_bucket(), [1.0, 2.0, 1.0]);
        assert!((proto.get_sum() - 0.6).abs() < 1e-12 && (proto.get_sum_squares() - 0.7).abs() < 1e-12);
        assert!(histogram("x", &Histogram::of_cosines([], 4)).is_none());
    }

    #[test]
    fn every_key_of_the_config_is_a_hyperparameter() {
        let config =
            "seed = 7\n[data]\ntrain = [\"a.jsonl\"]\n[train]\nlearning_rate = 2e-5\ndrop_last = true\n";
        let value = session_start(&config.parse().unwrap(), 1.5);
        let content = value.get_metadata().get_plugin_data().get_content();
        let data = HParamsPluginData::parse_from_bytes(content).unwrap();
        let hparams = &data.get_session_start_info().hparams;
        assert_eq!(hparams.len(), 4);
        assert_eq!(hparams["seed"].get_number_value(), 7.0);
        assert_eq!(hparams["train.learning_rate"].get_number_value(), 2e-5);
        assert!(hparams["train.drop_last"].get_bool_value());
        assert_eq!(hparams["data.train"].get_string_value(), "[\"a.jsonl\"]");
    }

    #[test]
    fn only_an_end_that_stays_the_end_is_told() {
        let finished =
            |outcome| Event::Finished { step: 1, outcome, best_step: None, message: String::new() };
        for outcome in [Outcome::Interrupted, Outcome::Failed] {
            assert!(of_event(&finished(outcome), 0.0).is_empty(), "it may be resumed: {outcome:?}");
        }
        assert_eq!(of_event(&finished(Outcome::Completed), 0.0).len(), 1);
    }
}
