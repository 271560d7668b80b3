//! `--columns anchor=question,positive=answer`: the mapping of a config's `[data.columns]` on one line.

use temper_data::ColumnMap;

/// Parses a mapping; names of the two texts may be those of pairs or those of scored pairs, `text` is the one of a class.
pub fn parse(text: &str) -> Result<ColumnMap, String> {
    let mut map = ColumnMap::default();
    for part in text.split(',') {
        let Some((role, name)) = part.split_once('=').map(|(role, name)| (role.trim(), name.trim())) else {
            return Err(format!("`{part}` is not ROLE=COLUMN"));
        };
        let place = match role {
            "anchor" | "sentence1" => &mut map.anchor,
            "positive" | "sentence2" => &mut map.positive,
            "label" | "score" => &mut map.label,
            "text" => &mut map.text,
            "class" => &mut map.class,
            "scores" => &mut map.scores,
            "negative" => {
                map.negatives.push(name.to_owned());
                continue;
            }
            _ => {
                return Err(format!(
                    "unknown role `{role}`; there are anchor, positive, negative, label, text, class, scores"
                ));
            }
        };
        if place.replace(name.to_owned()).is_some() {
            return Err(format!("`{role}` is named twice"));
        }
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_map_to_columns() {
        let map = parse("anchor=question, positive=answer,negative=n1,negative=n2");
        let expected = ColumnMap {
            anchor: Some("question".into()),
            positive: Some("answer".into()),
            negatives: vec!["n1".into(), "n2".into()],
            ..ColumnMap::default()
        };
        assert_eq!(map, Ok(expected));
        let labelled = parse("text=body,class=topic").unwrap_or_default();
        assert_eq!((labelled.text.as_deref(), labelled.class.as_deref()), (Some("body"), Some("topic")));
    }

    #[test]
    fn what_is_no_mapping_is_told() {
        assert_eq!(parse("anchor"), Err("`anchor` is not ROLE=COLUMN".to_owned()));
        assert!(parse("ancor=x").is_err_and(|message| message.contains("there are anchor, positive")));
        assert_eq!(parse("label=a,score=b"), Err("`score` is named twice".to_owned()));
    }
}
