-- Last viewed a lighting product more than two days ago and bought nothing in the last seven;
-- members enter as time passes (the reading of the SQL form).
SELECT user_id
FROM browsing_events  -- views of products, and clicks on products in mails
WHERE category = 'Lighting'
  AND last_viewed <= NOW() - INTERVAL '2 days'
  AND user_id NOT IN (
    SELECT user_id
    FROM purchases
    WHERE purchase_date > NOW() - INTERVAL '7 days'
  );
